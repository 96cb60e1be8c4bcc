using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using static Coppice.Tests.Models.Families.ReferenceDecoder;

namespace Coppice.Tests.Models.Families;

/// <summary>A small random Marian model in Hugging Face's layout, with the logits that its definition gives in plain double loops.</summary>
sealed class RandomMarian
{
    const int Width = 16, Heads = 2, EncoderInner = 24, DecoderInner = 20, EncoderLayers = 2, DecoderLayers = 3;

    readonly Random random;
    readonly Dictionary<string, (int[] Shape, double[] Data)> tensors = [];
    readonly ReferenceDecoder loops;
    readonly int vocabulary;

    public JsonObject Config { get; }

    public RandomMarian(int vocabulary = 40, int context = 16, int seed = 3)
    {
        this.vocabulary = vocabulary;
        random = new Random(seed);
        Make("model.shared.weight", vocabulary, Width);
        Make("final_logits_bias", 1, vocabulary);
        // Some writers store the sinusoids; nobody reads them.
        Make("model.encoder.embed_positions.weight", context, Width);
        for (int l = 0; l < EncoderLayers; l++)
            Block($"model.encoder.layers.{l}.", EncoderInner, hasSource: false);
        for (int l = 0; l < DecoderLayers; l++)
            Block($"model.decoder.layers.{l}.", DecoderInner, hasSource: true);
        Config = new JsonObject
        {
            ["architectures"] = new JsonArray("MarianMTModel"),
            ["model_type"] = "marian",
            ["d_model"] = Width,
            ["encoder_layers"] = EncoderLayers,
            ["encoder_attention_heads"] = Heads,
            ["encoder_ffn_dim"] = EncoderInner,
            ["decoder_layers"] = DecoderLayers,
            ["decoder_attention_heads"] = Heads,
            ["decoder_ffn_dim"] = DecoderInner,
            ["vocab_size"] = vocabulary,
            ["max_position_embeddings"] = context,
            ["activation_function"] = "swish",
            ["scale_embedding"] = true,
            ["static_position_embeddings"] = true,
            ["normalize_before"] = false,
            ["decoder_start_token_id"] = vocabulary - 1,
            ["pad_token_id"] = vocabulary - 1,
            ["eos_token_id"] = 0,
        };
        loops = new ReferenceDecoder(tensors) { Layers = 0, Heads = Heads, KeyValueHeads = Heads, HeadWidth = Width / Heads, Epsilon = 1e-5, Embed = (_, _) => [], Block = (_, _, x) => x, Head = (_, x) => x };
    }

    /// <summary>Logits behind each of <paramref name="target"/>'s tokens, which begin with the start token.</summary>
    public double[][] Logits(int[] source, int[] target)
    {
        double[][] states = [.. source.Select(Embed)];
        for (int l = 0; l < EncoderLayers; l++)
            states = Run($"model.encoder.layers.{l}.", states, null);
        double[][] x = [.. target.Select(Embed)];
        for (int l = 0; l < DecoderLayers; l++)
            x = Run($"model.decoder.layers.{l}.", x, states);
        double[] bias = tensors["final_logits_bias"].Data;
        return [.. x.Select(row => Enumerable.Range(0, vocabulary).Select(id => loops.Row("model.shared.weight", id).Zip(row, (w, v) => w * v).Sum() + bias[id]).ToArray())];
    }

    public void Write(string folder)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), Config.ToJsonString());
        SafeTensorsWriter.WriteFolder(folder, [.. tensors.Select(pair => TensorSource.Floats(pair.Key, DType.F32, Tensor.From(Shape.Create(pair.Value.Shape), [.. pair.Value.Data.Select(v => (float)v)])))]);
    }

    double[] Embed(int id, int place) => Add([.. loops.Row("model.shared.weight", id).Select(v => v * Math.Sqrt(Width))],
        [.. Enumerable.Range(0, Width).Select(i => i < Width / 2 ? Math.Sin(place / Math.Pow(10_000, 2.0 * i / Width)) : Math.Cos(place / Math.Pow(10_000, 2.0 * (i - Width / 2) / Width)))]);

    double[][] Run(string name, double[][] x, double[][]? states)
    {
        double[][] y = Attend(name + "self_attn", x, x, isCausal: states is not null);
        x = [.. x.Select((row, t) => loops.LayerNorm(name + "self_attn_layer_norm", Add(row, y[t])))];
        if (states is not null)
        {
            double[][] z = Attend(name + "encoder_attn", x, states, isCausal: false);
            x = [.. x.Select((row, t) => loops.LayerNorm(name + "encoder_attn_layer_norm", Add(row, z[t])))];
        }
        return [.. x.Select(row => loops.LayerNorm(name + "final_layer_norm", Add(row, loops.Linear(name + "fc2", [.. loops.Linear(name + "fc1", row).Select(Silu)]))))];
    }

    double[][] Attend(string name, double[][] x, double[][] seen, bool isCausal)
    {
        int d = Width / Heads;
        double[][] k = [.. seen.Select(row => loops.Linear(name + ".k_proj", row))], v = [.. seen.Select(row => loops.Linear(name + ".v_proj", row))];
        return [.. x.Select((row, t) =>
        {
            double[] q = loops.Linear(name + ".q_proj", row), mixed = new double[Width];
            int keys = isCausal ? t + 1 : k.Length;
            for (int h = 0; h < Heads; h++)
            {
                double[] e = [.. Enumerable.Range(0, keys).Select(s => Math.Exp(Enumerable.Range(h * d, d).Sum(i => q[i] * k[s][i]) / Math.Sqrt(d)))];
                for (int s = 0; s < keys; s++)
                    for (int i = h * d; i < (h + 1) * d; i++)
                        mixed[i] += e[s] / e.Sum() * v[s][i];
            }
            return loops.Linear(name + ".out_proj", mixed);
        })];
    }

    void Block(string name, int inner, bool hasSource)
    {
        foreach (string attention in hasSource ? new[] { "self_attn", "encoder_attn" } : ["self_attn"])
        {
            foreach (string part in new[] { "k_proj", "v_proj", "q_proj", "out_proj" })
                Linear($"{name}{attention}.{part}", Width, Width);
            Norm($"{name}{attention}_layer_norm");
        }
        Linear(name + "fc1", inner, Width);
        Linear(name + "fc2", Width, inner);
        Norm(name + "final_layer_norm");
    }

    void Make(string name, params int[] shape) => tensors.Add(name, (shape, [.. Enumerable.Range(0, shape.Aggregate((a, b) => a * b)).Select(_ =>
        (double)(float)((random.NextDouble() - 0.5) * (shape.Length == 1 || name == "final_logits_bias" ? 0.6 : 4 / Math.Sqrt(shape[^1])) + (name.EndsWith("norm.weight", StringComparison.Ordinal) ? 1 : 0)))]));

    void Linear(string name, int outputs, int inputs)
    {
        Make(name + ".weight", outputs, inputs);
        Make(name + ".bias", outputs);
    }

    void Norm(string name)
    {
        Make(name + ".weight", Width);
        Make(name + ".bias", Width);
    }
}
