// topk_softmax with k = 1, by hand for gfx942: a workgroup of 256 lanes to a row of at most 1024
// fp32 logits.  Every argument has a slot of 16 bytes; sizes of symbols are not stated.
//
//   s[0:1] kernarg   s2 row   s[4:5] topk_weights   s[6:7] topk_ids   s[8:9] the row's logits
//   s10 experts   s11 stride of rows   s12 renormalize   s20 piece of 256 logits
//   v0 lane of the workgroup   v1 wave   v3 maximum   v4 its expert   v[8:11] logits by piece
//   LDS: a dword a wave of maxima at 0, of experts at 16, of sums at 32

.amdgcn_target "amdgcn-amd-amdhsa--gfx942"
.text
.globl top1_softmax
.p2align 8
.type top1_softmax,@function

top1_softmax:
    s_load_dwordx2 s[4:5], s[0:1], 0x0
    s_load_dwordx2 s[6:7], s[0:1], 0x10
    s_load_dwordx2 s[8:9], s[0:1], 0x20
    s_load_dword s10, s[0:1], 0x30
    s_load_dword s11, s[0:1], 0x40
    s_load_dword s12, s[0:1], 0x50
    v_and_b32 v0, 0x3ff, v0
    v_lshrrev_b32 v1, 6, v0
    v_and_b32 v20, 63, v0
    v_lshlrev_b32 v21, 2, v1
    v_mov_b32 v2, v0
    v_mov_b32 v3, 0xff800000
    v_mov_b32 v4, 0
    s_mov_b32 s20, 0
    s_waitcnt lgkmcnt(0)
    s_mul_i32 s14, s2, s11
    s_mul_hi_u32 s15, s2, s11
    s_lshl_b64 s[14:15], s[14:15], 2
    s_add_u32 s8, s8, s14
    s_addc_u32 s9, s9, s15

// Read the row, keep each piece in a register of its own, and note the largest logit of the lane.
1:
    v_mov_b32 v5, 0xff800000
    v_cmp_gt_u32 vcc, s10, v2
    s_and_saveexec_b64 s[16:17], vcc
    v_lshlrev_b32 v6, 2, v2
    global_load_dword v5, v6, s[8:9]
    s_mov_b64 exec, s[16:17]
    s_waitcnt vmcnt(0)
    s_set_gpr_idx_on s20, gpr_idx(DST)
    v_mov_b32 v8, v5
    s_set_gpr_idx_off
    v_cmp_gt_f32 vcc, v5, v3
    s_nop 1
    v_cndmask_b32 v3, v3, v5, vcc
    v_cndmask_b32 v4, v4, v2, vcc
    v_add_u32 v2, 0x100, v2
    s_add_u32 s20, s20, 1
    s_lshl_b32 s21, s20, 8
    s_cmp_lt_u32 s21, s10
    s_cbranch_scc1 1b

// The maximum of the wave is in lane 63 then, and of the workgroup in v15.
    v_mov_b32 v7, v3
    s_nop 1
    v_max_f32_dpp v7, v7, v7 row_shr:1 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_max_f32_dpp v7, v7, v7 row_shr:2 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_max_f32_dpp v7, v7, v7 row_shr:4 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_max_f32_dpp v7, v7, v7 row_shr:8 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_max_f32_dpp v7, v7, v7 row_bcast:15 row_mask:0xa bank_mask:0xf
    s_nop 1
    v_max_f32_dpp v7, v7, v7 row_bcast:31 row_mask:0xc bank_mask:0xf
    v_cmp_eq_u32 vcc, 63, v20
    s_and_saveexec_b64 s[16:17], vcc
    ds_write_b32 v21, v7
    s_mov_b64 exec, s[16:17]
    s_waitcnt lgkmcnt(0)
    s_barrier
    v_mov_b32 v22, 0
    ds_read_b128 v[24:27], v22
    s_waitcnt lgkmcnt(0)
    v_max3_f32 v15, v24, v25, v26
    v_max_f32 v15, v15, v27

// The lowest expert with that logit.
    v_mov_b32 v7, 0x7fffffff
    v_cmp_eq_f32 vcc, v3, v15
    s_nop 1
    v_cndmask_b32 v7, v7, v4, vcc
    s_nop 1
    v_min_u32_dpp v7, v7, v7 row_shr:1 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_min_u32_dpp v7, v7, v7 row_shr:2 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_min_u32_dpp v7, v7, v7 row_shr:4 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_min_u32_dpp v7, v7, v7 row_shr:8 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_min_u32_dpp v7, v7, v7 row_bcast:15 row_mask:0xa bank_mask:0xf
    s_nop 1
    v_min_u32_dpp v7, v7, v7 row_bcast:31 row_mask:0xc bank_mask:0xf

// The sum of exp(logit - maximum), each piece out of its register again.
    v_mov_b32 v6, 0
    s_mov_b32 s20, 0
2:
    s_set_gpr_idx_on s20, gpr_idx(SRC0)
    v_mov_b32 v5, v8
    s_set_gpr_idx_off
    v_sub_f32 v5, v5, v15
    v_mul_f32 v5, 0x3fb8aa3b, v5
    v_exp_f32 v5, v5
    s_nop 0
    v_add_f32 v6, v6, v5
    s_add_u32 s20, s20, 1
    s_lshl_b32 s21, s20, 8
    s_cmp_lt_u32 s21, s10
    s_cbranch_scc1 2b
    s_nop 1
    v_add_f32_dpp v6, v6, v6 row_shr:1 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_add_f32_dpp v6, v6, v6 row_shr:2 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_add_f32_dpp v6, v6, v6 row_shr:4 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_add_f32_dpp v6, v6, v6 row_shr:8 row_mask:0xf bank_mask:0xf
    s_nop 1
    v_add_f32_dpp v6, v6, v6 row_bcast:15 row_mask:0xa bank_mask:0xf
    s_nop 1
    v_add_f32_dpp v6, v6, v6 row_bcast:31 row_mask:0xc bank_mask:0xf
    v_cmp_eq_u32 vcc, 63, v20
    s_and_saveexec_b64 s[16:17], vcc
    ds_write_b32 v21, v7 offset:16
    ds_write_b32 v21, v6 offset:32
    s_mov_b64 exec, s[16:17]
    s_waitcnt lgkmcnt(0)
    s_barrier

// The first lane writes the row's weight and expert.
    v_cmp_eq_u32 vcc, 0, v0
    s_and_saveexec_b64 s[16:17], vcc
    s_cbranch_execz 3f
    ds_read_b128 v[24:27], v22 offset:16
    ds_read_b128 v[28:31], v22 offset:32
    s_waitcnt lgkmcnt(0)
    v_min3_u32 v24, v24, v25, v26
    v_min_u32 v24, v24, v27
    v_add_f32 v28, v28, v29
    v_add_f32 v30, v30, v31
    v_add_f32 v28, v28, v30
    v_rcp_f32 v28, v28
    s_cmp_eq_u32 s12, 0
    s_cselect_b64 vcc, -1, 0
    v_cndmask_b32 v28, 1.0, v28, vcc
    s_lshl_b32 s18, s2, 2
    v_mov_b32 v23, s18
    global_store_dword v23, v28, s[4:5]
    global_store_dword v23, v24, s[6:7]
3:
    s_endpgm

.rodata
.p2align 6
.amdhsa_kernel top1_softmax
    .amdhsa_group_segment_fixed_size 48
    .amdhsa_kernarg_size 96
    .amdhsa_user_sgpr_kernarg_segment_ptr 1
    .amdhsa_next_free_vgpr 32
    .amdhsa_next_free_sgpr 32
    .amdhsa_accum_offset 32
.end_amdhsa_kernel
