using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using static Coppice.Tests.Models.Families.ReferenceDecoder;

namespace Coppice.Tests.Models.Families;

/// <summary>A small random checkpoint in a family's own layout on Hugging Face, with the logits that its definition gives.</summary>
sealed class RandomCheckpoint
{
    public const int Vocabulary = 257;

    const int Context = 24;

    readonly Random random;
    readonly Dictionary<string, (int[] Shape, double[] Data)> tensors = [];

    public JsonObject Config { get; }

    public ReferenceDecoder Reference { get; }

    public static IReadOnlyList<string> Families =>
    [
        "llama", "llama-biased", "llama-3.1", "llama-linear", "llama-dynamic", "mistral", "mixtral", "qwen2", "qwen2-yarn", "qwen2_moe", "qwen2_moe-mixed", "qwen3", "qwen3_moe", "phi3", "phi3-window", "phi3-longrope", "gemma2", "gemma3_text", "olmo2", "gpt2", "opt", "gpt_neox", "gpt_neox-sequential",
    ];

    public RandomCheckpoint(string kind, int seed = 1)
    {
        random = new Random(seed);
        (Config, Reference) = kind switch
        {
            "llama" => Llama([]),
            "llama-biased" => Llama(new() { ["attention_bias"] = true, ["mlp_bias"] = true }, biases: ["q", "k", "v", "o", "mlp"]),
            "llama-3.1" => Llama(new() { ["rope_theta"] = 500_000.0, ["rope_scaling"] = new JsonObject { ["rope_type"] = "llama3", ["factor"] = 8.0, ["low_freq_factor"] = 1.0, ["high_freq_factor"] = 4.0, ["original_max_position_embeddings"] = 16 } },
                frequency: i =>
                {
                    // From the report's text: wave lengths against the old context.
                    double f = Math.Pow(500_000, -2.0 * i / 8), wave = 2 * Math.PI / f;
                    if (wave < 16 / 4.0)
                        return f;
                    if (wave > 16 / 1.0)
                        return f / 8;
                    double smooth = (16 / wave - 1) / (4 - 1);
                    return (1 - smooth) * f / 8 + smooth * f;
                }),
            "llama-linear" => Llama(new() { ["rope_scaling"] = new JsonObject { ["type"] = "linear", ["factor"] = 2.0 } }, frequency: i => Math.Pow(10_000, -2.0 * i / 8) / 2),
            // Within the context nothing changes.
            "llama-dynamic" => Llama(new() { ["rope_scaling"] = new JsonObject { ["type"] = "dynamic", ["factor"] = 4.0 } }),
            "qwen2-yarn" => Llama(
                new() { ["model_type"] = "qwen2", ["rope_theta"] = 1_000_000.0, ["rope_scaling"] = new JsonObject { ["type"] = "yarn", ["factor"] = 4.0, ["original_max_position_embeddings"] = 16384 } },
                biases: ["q", "k", "v"],
                frequency: i =>
                {
                    // The paper's ramp between the dimensions that turn 32 times and once in the old context, whole as in its code.
                    double Dimension(double turns) => 8 * Math.Log(16384 / (turns * 2 * Math.PI)) / (2 * Math.Log(1_000_000));
                    double low = Math.Floor(Dimension(32)), high = Math.Ceiling(Dimension(1)), ramp = Math.Min(1, Math.Max(0, (i - low) / (high - low))), f = Math.Pow(1_000_000, -2.0 * i / 8);
                    return f / 4 * ramp + f * (1 - ramp);
                },
                amplitude: 0.1 * Math.Log(4) + 1),
            "mistral" => Llama(new() { ["model_type"] = "mistral", ["sliding_window"] = 5 }, window: 5),
            "qwen2" => Llama(new() { ["model_type"] = "qwen2", ["use_sliding_window"] = false, ["rope_theta"] = 1_000_000.0 }, biases: ["q", "k", "v"], frequency: i => Math.Pow(1_000_000, -2.0 * i / 8)),
            "qwen3" => Llama(new() { ["model_type"] = "qwen3", ["head_dim"] = 8 }, headNorms: true),
            "mixtral" => Llama(new() { ["model_type"] = "mixtral", ["num_local_experts"] = 5, ["num_experts_per_tok"] = 2, ["rope_theta"] = 10_000.0 }, mixture: _ => new("block_sparse_moe.", "w1", "w3", "w2", 5, 2, 48, null, isNormalized: true)),
            "qwen2_moe" => Llama(
                new()
                {
                    ["model_type"] = "qwen2_moe",
                    ["num_experts"] = 6,
                    ["num_experts_per_tok"] = 3,
                    ["moe_intermediate_size"] = 24,
                    ["shared_expert_intermediate_size"] = 40,
                    ["norm_topk_prob"] = false,
                }, biases: ["q", "k", "v"], mixture: _ => new("mlp.", "gate_proj", "up_proj", "down_proj", 6, 3, 24, 40, isNormalized: false)),
            "qwen2_moe-mixed" => Llama(
                new()
                {
                    ["model_type"] = "qwen2_moe",
                    ["num_experts"] = 4,
                    ["num_experts_per_tok"] = 2,
                    ["moe_intermediate_size"] = 24,
                    ["shared_expert_intermediate_size"] = 40,
                    ["norm_topk_prob"] = true,
                    ["decoder_sparse_step"] = 1,
                    ["mlp_only_layers"] = new JsonArray(1),
                }, biases: ["q", "k", "v"], mixture: l => l == 1 ? null : new("mlp.", "gate_proj", "up_proj", "down_proj", 4, 2, 24, 40, isNormalized: true)),
            "qwen3_moe" => Llama(new() { ["model_type"] = "qwen3_moe", ["head_dim"] = 8, ["num_experts"] = 6, ["num_experts_per_tok"] = 2, ["moe_intermediate_size"] = 24, ["norm_topk_prob"] = true },
                headNorms: true, mixture: _ => new("mlp.", "gate_proj", "up_proj", "down_proj", 6, 2, 24, null, isNormalized: true)),
            "phi3" => Phi3(null),
            "phi3-window" => Phi3(6),
            "phi3-longrope" => Phi3(null, [1.0, 1.25, 2.5, 3.75]),
            "gemma2" => Gemma(isThree: false),
            "gemma3_text" => Gemma(isThree: true),
            "olmo2" => Olmo2(),
            "gpt2" => Gpt2(),
            "opt" => Opt(),
            "gpt_neox" => NeoX(isParallel: true),
            "gpt_neox-sequential" => NeoX(isParallel: false),
            _ => throw new ArgumentException(kind),
        };
    }

    /// <summary>Writes config.json and model.safetensors, float32; perhaps under other names, beside other tensors.</summary>
    public void Write(string folder, Func<string, string>? rename = null, params IEnumerable<TensorSource> more)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), Config.ToJsonString());
        SafeTensorsWriter.WriteFolder(folder, [.. tensors.Select(pair => TensorSource.Floats(rename?.Invoke(pair.Key) ?? pair.Key, DType.F32, Tensor.From(Shape.Create(pair.Value.Shape), [.. pair.Value.Data.Select(v => (float)v)]))), .. more]);
    }

    string Make(string name, params int[] shape)
    {
        bool isNorm = shape.Length == 1 && name.EndsWith("weight", StringComparison.Ordinal);
        tensors.Add(name, (shape, [.. Enumerable.Range(0, shape.Aggregate((a, b) => a * b)).Select(_ => (double)(float)(isNorm ? 0.7 + 0.6 * random.NextDouble() : (random.NextDouble() - 0.5) * (shape.Length == 1 ? 0.6 : 1.6 / Math.Sqrt(shape[^1]) * 2)))]));
        return name;
    }

    void Linear(string name, int outputs, int inputs, bool isBiased)
    {
        Make(name + ".weight", outputs, inputs);
        if (isBiased)
            Make(name + ".bias", outputs);
    }

    void Layer(string name, int width)
    {
        Make(name + ".weight", width);
        Make(name + ".bias", width);
    }

    static JsonObject Sizes(string type, JsonObject more)
    {
        JsonObject json = new()
        {
            ["model_type"] = type,
            ["hidden_size"] = 32,
            ["intermediate_size"] = 48,
            ["num_hidden_layers"] = 3,
            ["num_attention_heads"] = 4,
            ["num_key_value_heads"] = 2,
            ["vocab_size"] = Vocabulary,
            ["max_position_embeddings"] = Context,
            ["rms_norm_eps"] = 1e-6,
            ["tie_word_embeddings"] = false,
        };
        foreach ((string name, JsonNode? value) in more)
            json[name] = value?.DeepClone();
        return json;
    }

    (JsonObject, ReferenceDecoder) Llama(JsonObject more, string[]? biases = null, Func<int, double>? frequency = null, int? window = null, bool headNorms = false, Func<int, ReferenceMixture?>? mixture = null, double amplitude = 1)
    {
        biases ??= [];
        frequency ??= i => Math.Pow(10_000, -2.0 * i / 8);
        Make("model.embed_tokens.weight", Vocabulary, 32);
        for (int l = 0; l < 3; l++)
        {
            string name = $"model.layers.{l}.";
            Make(name + "input_layernorm.weight", 32);
            Make(name + "post_attention_layernorm.weight", 32);
            Linear(name + "self_attn.q_proj", 32, 32, biases.Contains("q"));
            Linear(name + "self_attn.k_proj", 16, 32, biases.Contains("k"));
            Linear(name + "self_attn.v_proj", 16, 32, biases.Contains("v"));
            Linear(name + "self_attn.o_proj", 32, 32, biases.Contains("o"));
            if (headNorms)
            {
                Make(name + "self_attn.q_norm.weight", 8);
                Make(name + "self_attn.k_norm.weight", 8);
            }
            if (mixture?.Invoke(l) is { } experts)
            {
                foreach ((string matrix, int outputs, int inputs) in experts.Matrices(32))
                    Linear(name + matrix, outputs, inputs, false);
                continue;
            }
            Linear(name + "mlp.gate_proj", 48, 32, biases.Contains("mlp"));
            Linear(name + "mlp.up_proj", 48, 32, biases.Contains("mlp"));
            Linear(name + "mlp.down_proj", 32, 48, biases.Contains("mlp"));
        }
        Make("model.norm.weight", 32);
        Make("lm_head.weight", Vocabulary, 32);
        return (Sizes("llama", more), new ReferenceDecoder(tensors)
        {
            Layers = 3,
            Heads = 4,
            KeyValueHeads = 2,
            HeadWidth = 8,
            Embed = (id, _) => tensors["model.embed_tokens.weight"].Data[(id * 32)..((id + 1) * 32)],
            Block = (r, l, x) =>
            {
                string name = $"model.layers.{l}.", attention = name + "self_attn.";
                double[][] h = [.. x.Select(row => r.Rms(name + "input_layernorm", row))];
                double[] Placed(string which, double[] row, int t)
                {
                    double[] y = r.Linear(attention + which + "_proj", row);
                    return [.. r.Rotate(headNorms ? r.PerHead(y, part => r.Rms(attention + which + "_norm", part)) : y, t, 8, frequency).Select(v => v * amplitude)];
                }
                double[][] mixed = r.Attend([.. h.Select((row, t) => Placed("q", row, t))], [.. h.Select((row, t) => Placed("k", row, t))], [.. h.Select(row => r.Linear(attention + "v_proj", row))], window: window);
                return [.. x.Select((row, t) =>
                {
                    double[] y = Add(row, r.Linear(attention + "o_proj", mixed[t])), n = r.Rms(name + "post_attention_layernorm", y);
                    if (mixture?.Invoke(l) is { } experts)
                        return Add(y, experts.Mix(r, name, n));
                    return Add(y, r.Linear(name + "mlp.down_proj", [.. r.Linear(name + "mlp.gate_proj", n).Zip(r.Linear(name + "mlp.up_proj", n), (g, u) => Silu(g) * u)]));
                })];
            },
            Head = (r, row) => r.Linear("lm_head", r.Rms("model.norm", row)),
        });
    }

    (JsonObject, ReferenceDecoder) Phi3(int? window, double[]? divisors = null)
    {
        Make("model.embed_tokens.weight", Vocabulary, 32);
        for (int l = 0; l < 3; l++)
        {
            string name = $"model.layers.{l}.";
            Make(name + "input_layernorm.weight", 32);
            Make(name + "post_attention_layernorm.weight", 32);
            Make(name + "self_attn.qkv_proj.weight", 64, 32);
            Make(name + "self_attn.o_proj.weight", 32, 32);
            Make(name + "mlp.gate_up_proj.weight", 96, 32);
            Make(name + "mlp.down_proj.weight", 32, 48);
        }
        Make("model.norm.weight", 32);
        Make("lm_head.weight", Vocabulary, 32);
        JsonObject more = new() { ["sliding_window"] = window, ["rope_scaling"] = null };
        if (divisors is not null)
        {
            more["max_position_embeddings"] = 4 * Context;
            more["original_max_position_embeddings"] = Context;
            more["rope_scaling"] = new JsonObject { ["type"] = "longrope", ["short_factor"] = new JsonArray([.. divisors.Select(d => JsonValue.Create(d))]), ["long_factor"] = new JsonArray(2.0, 3.0, 4.0, 5.0) };
        }
        double amplitude = divisors is null ? 1 : Math.Sqrt(1 + Math.Log(4) / Math.Log(Context));
        return (Sizes("phi3", more), new ReferenceDecoder(tensors)
        {
            Layers = 3,
            Heads = 4,
            KeyValueHeads = 2,
            HeadWidth = 8,
            Embed = (id, _) => tensors["model.embed_tokens.weight"].Data[(id * 32)..((id + 1) * 32)],
            Block = (r, l, x) =>
            {
                string name = $"model.layers.{l}.";
                double[][] all = [.. x.Select(row => r.Linear(name + "self_attn.qkv_proj", r.Rms(name + "input_layernorm", row)))];
                double F(int i) => Math.Pow(10_000, -2.0 * i / 8) / (divisors?[i] ?? 1);
                double[] Turned(double[] row, int t) => [.. r.Rotate(row, t, 8, F).Select(v => v * amplitude)];
                double[][] mixed = r.Attend([.. all.Select((row, t) => Turned(row[..32], t))], [.. all.Select((row, t) => Turned(row[32..48], t))], [.. all.Select(row => row[48..])], window: window);
                return [.. x.Select((row, t) =>
                {
                    double[] y = Add(row, r.Linear(name + "self_attn.o_proj", mixed[t])), both = r.Linear(name + "mlp.gate_up_proj", r.Rms(name + "post_attention_layernorm", y));
                    return Add(y, r.Linear(name + "mlp.down_proj", [.. both[..48].Zip(both[48..], (g, u) => Silu(g) * u)]));
                })];
            },
            Head = (r, row) => r.Linear("lm_head", r.Rms("model.norm", row)),
        });
    }

    (JsonObject, ReferenceDecoder) Gemma(bool isThree)
    {
        int window = 4;
        Make("model.embed_tokens.weight", Vocabulary, 32);
        for (int l = 0; l < 3; l++)
        {
            string name = $"model.layers.{l}.";
            foreach (string norm in new[] { "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm" })
                Make(name + norm + ".weight", 32);
            Make(name + "self_attn.q_proj.weight", 40, 32);
            Make(name + "self_attn.k_proj.weight", 20, 32);
            Make(name + "self_attn.v_proj.weight", 20, 32);
            Make(name + "self_attn.o_proj.weight", 32, 40);
            if (isThree)
            {
                Make(name + "self_attn.q_norm.weight", 10);
                Make(name + "self_attn.k_norm.weight", 10);
            }
            Make(name + "mlp.gate_proj.weight", 48, 32);
            Make(name + "mlp.up_proj.weight", 48, 32);
            Make(name + "mlp.down_proj.weight", 32, 48);
        }
        Make("model.norm.weight", 32);
        JsonObject json = Sizes(isThree ? "gemma3_text" : "gemma2", new() { ["head_dim"] = 10, ["query_pre_attn_scalar"] = isThree ? 10 : 16, ["sliding_window"] = window, ["hidden_activation"] = "gelu_pytorch_tanh" });
        json.Remove("tie_word_embeddings");
        if (isThree)
        {
            json["sliding_window_pattern"] = 3;
            json["rope_theta"] = 1_000_000.0;
            json["rope_local_base_freq"] = 10_000.0;
        }
        else
        {
            json["attn_logit_softcapping"] = 2.0;
            json["final_logit_softcapping"] = 3.0;
        }
        return (json, new ReferenceDecoder(tensors)
        {
            Layers = 3,
            Heads = 4,
            KeyValueHeads = 2,
            HeadWidth = 10,
            Embed = (id, _) => [.. tensors["model.embed_tokens.weight"].Data[(id * 32)..((id + 1) * 32)].Select(v => v * Math.Sqrt(32))],
            Block = (r, l, x) =>
            {
                string name = $"model.layers.{l}.", attention = name + "self_attn.";
                bool isLocal = isThree ? l % 3 != 2 : l % 2 == 0;
                double theta = isThree && !isLocal ? 1_000_000 : 10_000;
                double[][] h = [.. x.Select(row => r.Rms(name + "input_layernorm", row, 1))];
                double[] Placed(string which, double[] row, int t)
                {
                    double[] y = r.Linear(attention + which + "_proj", row);
                    return r.Rotate(isThree ? r.PerHead(y, part => r.Rms(attention + which + "_norm", part, 1)) : y, t, 10, i => Math.Pow(theta, -2.0 * i / 10));
                }
                double[][] mixed = r.Attend([.. h.Select((row, t) => Placed("q", row, t))], [.. h.Select((row, t) => Placed("k", row, t))], [.. h.Select(row => r.Linear(attention + "v_proj", row))],
                    1 / Math.Sqrt(isThree ? 10 : 16), isLocal ? window : null, isThree ? null : 2);
                return [.. x.Select((row, t) =>
                {
                    double[] y = Add(row, r.Rms(name + "post_attention_layernorm", r.Linear(attention + "o_proj", mixed[t]), 1)), n = r.Rms(name + "pre_feedforward_layernorm", y, 1);
                    double[] inner = [.. r.Linear(name + "mlp.gate_proj", n).Zip(r.Linear(name + "mlp.up_proj", n), (g, u) => GeluTanh(g) * u)];
                    return Add(y, r.Rms(name + "post_feedforward_layernorm", r.Linear(name + "mlp.down_proj", inner), 1));
                })];
            },
            Head = (r, row) => [.. r.Linear("model.embed_tokens", r.Rms("model.norm", row, 1)).Select(v => isThree ? v : 3 * Math.Tanh(v / 3))],
        });
    }

    (JsonObject, ReferenceDecoder) Olmo2()
    {
        Make("model.embed_tokens.weight", Vocabulary, 32);
        for (int l = 0; l < 3; l++)
        {
            string name = $"model.layers.{l}.";
            Make(name + "post_attention_layernorm.weight", 32);
            Make(name + "post_feedforward_layernorm.weight", 32);
            Make(name + "self_attn.q_proj.weight", 32, 32);
            Make(name + "self_attn.k_proj.weight", 16, 32);
            Make(name + "self_attn.v_proj.weight", 16, 32);
            Make(name + "self_attn.o_proj.weight", 32, 32);
            Make(name + "self_attn.q_norm.weight", 32);
            Make(name + "self_attn.k_norm.weight", 16);
            Make(name + "mlp.gate_proj.weight", 48, 32);
            Make(name + "mlp.up_proj.weight", 48, 32);
            Make(name + "mlp.down_proj.weight", 32, 48);
        }
        Make("model.norm.weight", 32);
        Make("lm_head.weight", Vocabulary, 32);
        return (Sizes("olmo2", new() { ["rope_theta"] = 500_000.0 }), new ReferenceDecoder(tensors)
        {
            Layers = 3,
            Heads = 4,
            KeyValueHeads = 2,
            HeadWidth = 8,
            Embed = (id, _) => tensors["model.embed_tokens.weight"].Data[(id * 32)..((id + 1) * 32)],
            Block = (r, l, x) =>
            {
                string name = $"model.layers.{l}.", attention = name + "self_attn.";
                double[] Placed(string which, double[] row, int t) => r.Rotate(r.Rms(attention + which + "_norm", r.Linear(attention + which + "_proj", row)), t, 8, i => Math.Pow(500_000, -2.0 * i / 8));
                double[][] mixed = r.Attend([.. x.Select((row, t) => Placed("q", row, t))], [.. x.Select((row, t) => Placed("k", row, t))], [.. x.Select(row => r.Linear(attention + "v_proj", row))]);
                return [.. x.Select((row, t) =>
                {
                    double[] y = Add(row, r.Rms(name + "post_attention_layernorm", r.Linear(attention + "o_proj", mixed[t])));
                    double[] inner = [.. r.Linear(name + "mlp.gate_proj", y).Zip(r.Linear(name + "mlp.up_proj", y), (g, u) => Silu(g) * u)];
                    return Add(y, r.Rms(name + "post_feedforward_layernorm", r.Linear(name + "mlp.down_proj", inner)));
                })];
            },
            Head = (r, row) => r.Linear("lm_head", r.Rms("model.norm", row)),
        });
    }

    (JsonObject, ReferenceDecoder) Gpt2()
    {
        Make("transformer.wte.weight", Vocabulary, 32);
        Make("transformer.wpe.weight", Context, 32);
        for (int l = 0; l < 3; l++)
        {
            string name = $"transformer.h.{l}.";
            Layer(name + "ln_1", 32);
            Layer(name + "ln_2", 32);
            foreach ((string part, int inputs, int outputs) in new[] { ("attn.c_attn", 32, 96), ("attn.c_proj", 32, 32), ("mlp.c_fc", 32, 128), ("mlp.c_proj", 128, 32) })
            {
                Make(name + part + ".weight", inputs, outputs);
                Make(name + part + ".bias", outputs);
            }
        }
        Layer("transformer.ln_f", 32);
        JsonObject json = new()
        {
            ["model_type"] = "gpt2",
            ["n_embd"] = 32,
            ["n_layer"] = 3,
            ["n_head"] = 4,
            ["n_positions"] = Context,
            ["n_ctx"] = Context,
            ["vocab_size"] = Vocabulary,
            ["activation_function"] = "gelu_new",
            ["layer_norm_epsilon"] = 1e-5,
        };
        return (json, new ReferenceDecoder(tensors)
        {
            Layers = 3,
            Heads = 4,
            KeyValueHeads = 4,
            HeadWidth = 8,
            Epsilon = 1e-5,
            Embed = (id, t) => Add(tensors["transformer.wte.weight"].Data[(id * 32)..((id + 1) * 32)], tensors["transformer.wpe.weight"].Data[(t * 32)..((t + 1) * 32)]),
            Block = (r, l, x) =>
            {
                string name = $"transformer.h.{l}.";
                double[][] all = [.. x.Select(row => r.Conv1D(name + "attn.c_attn", r.LayerNorm(name + "ln_1", row)))];
                double[][] mixed = r.Attend([.. all.Select(row => row[..32])], [.. all.Select(row => row[32..64])], [.. all.Select(row => row[64..])]);
                return [.. x.Select((row, t) =>
                {
                    double[] y = Add(row, r.Conv1D(name + "attn.c_proj", mixed[t]));
                    return Add(y, r.Conv1D(name + "mlp.c_proj", [.. r.Conv1D(name + "mlp.c_fc", r.LayerNorm(name + "ln_2", y)).Select(GeluTanh)]));
                })];
            },
            Head = (r, row) => r.Linear("transformer.wte", r.LayerNorm("transformer.ln_f", row)),
        });
    }

    (JsonObject, ReferenceDecoder) Opt()
    {
        Make("model.decoder.embed_tokens.weight", Vocabulary, 32);
        Make("model.decoder.embed_positions.weight", Context + 2, 32);
        for (int l = 0; l < 3; l++)
        {
            string name = $"model.decoder.layers.{l}.";
            Layer(name + "self_attn_layer_norm", 32);
            Layer(name + "final_layer_norm", 32);
            foreach (string part in new[] { "q_proj", "k_proj", "v_proj", "out_proj" })
                Linear(name + "self_attn." + part, 32, 32, true);
            Linear(name + "fc1", 48, 32, true);
            Linear(name + "fc2", 32, 48, true);
        }
        Layer("model.decoder.final_layer_norm", 32);
        JsonObject json = new()
        {
            ["model_type"] = "opt",
            ["hidden_size"] = 32,
            ["ffn_dim"] = 48,
            ["num_hidden_layers"] = 3,
            ["num_attention_heads"] = 4,
            ["max_position_embeddings"] = Context,
            ["vocab_size"] = Vocabulary,
            ["do_layer_norm_before"] = true,
            ["activation_function"] = "relu",
            ["word_embed_proj_dim"] = 32,
        };
        return (json, new ReferenceDecoder(tensors)
        {
            Layers = 3,
            Heads = 4,
            KeyValueHeads = 4,
            HeadWidth = 8,
            Epsilon = 1e-5,
            Embed = (id, t) => Add(tensors["model.decoder.embed_tokens.weight"].Data[(id * 32)..((id + 1) * 32)], tensors["model.decoder.embed_positions.weight"].Data[((t + 2) * 32)..((t + 3) * 32)]),
            Block = (r, l, x) =>
            {
                string name = $"model.decoder.layers.{l}.", attention = name + "self_attn.";
                double[][] h = [.. x.Select(row => r.LayerNorm(name + "self_attn_layer_norm", row))];
                double[][] mixed = r.Attend([.. h.Select(row => r.Linear(attention + "q_proj", row))], [.. h.Select(row => r.Linear(attention + "k_proj", row))], [.. h.Select(row => r.Linear(attention + "v_proj", row))]);
                return [.. x.Select((row, t) =>
                {
                    double[] y = Add(row, r.Linear(attention + "out_proj", mixed[t]));
                    return Add(y, r.Linear(name + "fc2", [.. r.Linear(name + "fc1", r.LayerNorm(name + "final_layer_norm", y)).Select(v => Math.Max(v, 0))]));
                })];
            },
            Head = (r, row) => r.Linear("model.decoder.embed_tokens", r.LayerNorm("model.decoder.final_layer_norm", row)),
        });
    }

    (JsonObject, ReferenceDecoder) NeoX(bool isParallel)
    {
        Make("gpt_neox.embed_in.weight", Vocabulary, 32);
        for (int l = 0; l < 3; l++)
        {
            string name = $"gpt_neox.layers.{l}.";
            Layer(name + "input_layernorm", 32);
            Layer(name + "post_attention_layernorm", 32);
            Linear(name + "attention.query_key_value", 96, 32, true);
            Linear(name + "attention.dense", 32, 32, true);
            Linear(name + "mlp.dense_h_to_4h", 48, 32, true);
            Linear(name + "mlp.dense_4h_to_h", 32, 48, true);
            Make(name + "attention.rotary_emb.inv_freq", 2);
        }
        Layer("gpt_neox.final_layer_norm", 32);
        Make("embed_out.weight", Vocabulary, 32);
        JsonObject json = new()
        {
            ["model_type"] = "gpt_neox",
            ["hidden_size"] = 32,
            ["intermediate_size"] = 48,
            ["num_hidden_layers"] = 3,
            ["num_attention_heads"] = 4,
            ["max_position_embeddings"] = Context,
            ["vocab_size"] = Vocabulary,
            ["rotary_pct"] = 0.5,
            ["rotary_emb_base"] = 10_000,
            ["layer_norm_eps"] = 1e-5,
            ["hidden_act"] = "gelu",
            ["use_parallel_residual"] = isParallel,
            ["tie_word_embeddings"] = false,
        };
        return (json, new ReferenceDecoder(tensors)
        {
            Layers = 3,
            Heads = 4,
            KeyValueHeads = 4,
            HeadWidth = 8,
            Epsilon = 1e-5,
            Embed = (id, _) => tensors["gpt_neox.embed_in.weight"].Data[(id * 32)..((id + 1) * 32)],
            Block = (r, l, x) =>
            {
                string name = $"gpt_neox.layers.{l}.";
                double[][] all = [.. x.Select(row => r.Linear(name + "attention.query_key_value", r.LayerNorm(name + "input_layernorm", row)))];
                // Of each head 24 rows: 8 of its query, 8 of its key, 8 of its value.
                double[] Of(double[] row, int which) => [.. Enumerable.Range(0, 4).SelectMany(h => row[(h * 24 + which * 8)..(h * 24 + which * 8 + 8)])];
                double F(int i) => Math.Pow(10_000, -2.0 * i / 4);
                double[][] mixed = r.Attend([.. all.Select((row, t) => r.Rotate(Of(row, 0), t, 4, F))], [.. all.Select((row, t) => r.Rotate(Of(row, 1), t, 4, F))], [.. all.Select(row => Of(row, 2))]);
                double[] Inner(double[] row) => r.Linear(name + "mlp.dense_4h_to_h", [.. r.Linear(name + "mlp.dense_h_to_4h", r.LayerNorm(name + "post_attention_layernorm", row)).Select(Gelu)]);
                return [.. x.Select((row, t) =>
                {
                    double[] attended = r.Linear(name + "attention.dense", mixed[t]);
                    return isParallel ? Add(Add(row, attended), Inner(row)) : Add(Add(row, attended), Inner(Add(row, attended)));
                })];
            },
            Head = (r, row) => r.Linear("embed_out", r.LayerNorm("gpt_neox.final_layer_norm", row)),
        });
    }
}
