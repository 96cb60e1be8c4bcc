using System.Text.RegularExpressions;

namespace Coppice.Models;

/// <summary>What a container calls a model's tensors, given ours: the names of a Llama checkpoint on Hugging Face.</summary>
sealed partial class TensorNames(string block, params (string Ours, string Theirs)[] table)
{
    /// <summary>llama.cpp's, in most architectures.</summary>
    public static TensorNames Gguf { get; } = new("blk.",
        ("model.embed_tokens.", "token_embd."), ("model.embed_positions.", "position_embd."), ("model.norm.", "output_norm."), ("lm_head.", "output."), ("input_layernorm.", "attn_norm."),
        ("self_attn.q_proj.", "attn_q."), ("self_attn.k_proj.", "attn_k."), ("self_attn.v_proj.", "attn_v."), ("self_attn.o_proj.", "attn_output."),
        ("self_attn.q_norm.", "attn_q_norm."), ("self_attn.k_norm.", "attn_k_norm."),
        ("post_attention_layernorm.", "ffn_norm."), ("mlp.gate_proj.", "ffn_gate."), ("mlp.up_proj.", "ffn_up."), ("mlp.down_proj.", "ffn_down."),
        ("mlp.gate.", "ffn_gate_inp."), ("mlp.shared_expert.gate_proj.", "ffn_gate_shexp."), ("mlp.shared_expert.up_proj.", "ffn_up_shexp."), ("mlp.shared_expert.down_proj.", "ffn_down_shexp."),
        ("mlp.shared_expert_gate.", "ffn_gate_inp_shexp."));

    /// <summary>Those of Meta's checkpoints, which llama2.c follows.</summary>
    public static TensorNames Meta { get; } = new("layers.",
        ("model.embed_tokens.", "tok_embeddings."), ("model.norm.", "norm."), ("lm_head.", "output."), ("input_layernorm.", "attention_norm."),
        ("self_attn.q_proj.", "attention.wq."), ("self_attn.k_proj.", "attention.wk."), ("self_attn.v_proj.", "attention.wv."), ("self_attn.o_proj.", "attention.wo."),
        ("post_attention_layernorm.", "ffn_norm."), ("mlp.gate_proj.", "feed_forward.w1."), ("mlp.up_proj.", "feed_forward.w3."), ("mlp.down_proj.", "feed_forward.w2."));

    /// <summary>The container's name.</summary>
    public string Of(string name)
    {
        Match match = OurBlock().Match(name);
        string prefix = match.Success ? $"{block}{match.Groups[1].Value}." : "", rest = name[match.Length..];
        foreach ((string ours, string theirs) in table)
            if (rest.StartsWith(ours, StringComparison.Ordinal))
                return prefix + theirs + rest[ours.Length..];
        throw new ArgumentException($"TensorNames: '{name}' has no name in this layout");
    }

    [GeneratedRegex(@"^model\.layers\.(\d+)\.")]
    private static partial Regex OurBlock();
}
