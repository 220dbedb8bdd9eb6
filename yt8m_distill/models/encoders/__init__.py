"""Encoders: a video's frames (or its mean features) to one vector E. One encoder a file.

An encoder is a layer called as `encoder(features, num_frames, training=...)` with `features` [B, T, D] and `num_frames`
int32 [B]. It returns a dict with `encoding` [B, E] and, where the network has them, the states that intermediate
distillation matches: `frame_states` [B, T, H], one after each frame, and `block_states` [B, blocks, H], one after each
block of `encoder.block_length` frames. `encoder.layer_macs(num_frames)` counts the multiply-accumulates of one video,
by layer, and `encoder.macs(num_frames)` all of them (see `CountsMacs`).
"""
