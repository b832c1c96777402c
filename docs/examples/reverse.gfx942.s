// Each workgroup of 256 lanes writes its part of x backwards to y: through LDS, which the launch
// gives it, so that all loads and stores are of neighbours.

.amdgcn_target "amdgcn-amd-amdhsa--gfx942"
.text
.globl reverse
.p2align 8

reverse:
    s_load_dwordx2 s[4:5], s[0:1], 0x0
    s_load_dwordx2 s[6:7], s[0:1], 0x10
    v_and_b32 v0, 0x3ff, v0
    v_lshlrev_b32 v1, 2, v0
    s_lshl_b32 s3, s2, 10
    v_add_u32 v2, s3, v1
    v_sub_u32 v3, 1020, v1
    s_waitcnt lgkmcnt(0)
    global_load_dword v4, v2, s[4:5]
    s_waitcnt vmcnt(0)
    ds_write_b32 v1, v4
    s_waitcnt lgkmcnt(0)
    s_barrier
    ds_read_b32 v5, v3
    s_waitcnt lgkmcnt(0)
    global_store_dword v2, v5, s[6:7]
    s_endpgm

.rodata
.p2align 6
.amdhsa_kernel reverse
    .amdhsa_kernarg_size 32
    .amdhsa_user_sgpr_kernarg_segment_ptr 1
    .amdhsa_next_free_vgpr 8
    .amdhsa_next_free_sgpr 16
    .amdhsa_accum_offset 8
.end_amdhsa_kernel
