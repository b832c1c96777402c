"""What the ops of one family share in their declarations: gating, sorting, renorm and so on."""
