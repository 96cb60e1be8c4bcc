using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using static Coppice.Tests.Models.Families.ReferenceDecoder;

namespace Coppice.Tests.Models.Families;

/// <summary>A small random encoder in its family's own layout on Hugging Face, with what its definition gives in plain double loops.</summary>
sealed class RandomEncoder
{
    public const int Vocabulary = 257, Labels = 3;

    const int Width = 32, Inner = 48, Heads = 4, Layers = 2, Context = 20;

    readonly Random random = new(5);
    readonly Dictionary<string, (int[] Shape, double[] Data)> tensors = [];
    readonly string family, task;
    readonly ReferenceDecoder loops;

    public JsonObject Config { get; }

    public static IReadOnlyList<string> Kinds => [.. from family in new[] { "bert", "roberta", "distilbert" } from task in new[] { "Model", "ForSequenceClassification", "ForMaskedLM" } select $"{family} {task}"];

    public RandomEncoder(string kind)
    {
        (family, task) = (kind.Split(' ')[0], kind.Split(' ')[1]);
        string top = task == "Model" ? "" : family + ".";
        bool isDistilled = family == "distilbert", isRoberta = family == "roberta";
        string embeddings = top + "embeddings.";
        Make(embeddings + "word_embeddings.weight", Vocabulary, Width);
        Make(embeddings + "position_embeddings.weight", isRoberta ? Context + 2 : Context, Width);
        if (!isDistilled)
            Make(embeddings + "token_type_embeddings.weight", isRoberta ? 1 : 2, Width);
        Norm(embeddings + "LayerNorm");
        for (int l = 0; l < Layers; l++)
        {
            Names n = NamesOf(l);
            foreach (string part in new[] { n.Query, n.Key, n.Value, n.Output })
                Linear(part, Width, Width);
            Linear(n.Up, Inner, Width);
            Linear(n.Down, Width, Inner);
            Norm(n.First);
            Norm(n.Second);
        }
        switch (task, family)
        {
            case ("Model", "bert" or "roberta"):
                Linear("pooler.dense", Width, Width);
                break;
            case ("ForSequenceClassification", "bert"):
                Linear("bert.pooler.dense", Width, Width);
                Linear("classifier", Labels, Width);
                break;
            case ("ForSequenceClassification", "roberta"):
                Linear("classifier.dense", Width, Width);
                Linear("classifier.out_proj", Labels, Width);
                break;
            case ("ForSequenceClassification", _):
                Linear("pre_classifier", Width, Width);
                Linear("classifier", Labels, Width);
                break;
            case ("ForMaskedLM", "bert"):
                Linear("cls.predictions.transform.dense", Width, Width);
                Norm("cls.predictions.transform.LayerNorm");
                Make("cls.predictions.bias", Vocabulary);
                break;
            case ("ForMaskedLM", "roberta"):
                Linear("lm_head.dense", Width, Width);
                Norm("lm_head.layer_norm");
                Make("lm_head.bias", Vocabulary);
                break;
            case ("ForMaskedLM", _):
                Linear("vocab_transform", Width, Width);
                Norm("vocab_layer_norm");
                Make("vocab_projector.bias", Vocabulary);
                break;
        }
        string prefix = family switch { "bert" => "Bert", "roberta" => "Roberta", _ => "DistilBert" };
        Config = isDistilled
            ? new JsonObject { ["dim"] = Width, ["hidden_dim"] = Inner, ["n_layers"] = Layers, ["n_heads"] = Heads, ["activation"] = "gelu", ["max_position_embeddings"] = Context, ["vocab_size"] = Vocabulary }
            : new JsonObject
            {
                ["hidden_size"] = Width,
                ["intermediate_size"] = Inner,
                ["num_hidden_layers"] = Layers,
                ["num_attention_heads"] = Heads,
                ["hidden_act"] = "gelu",
                ["max_position_embeddings"] = isRoberta ? Context + 2 : Context,
                ["type_vocab_size"] = isRoberta ? 1 : 2,
                ["vocab_size"] = Vocabulary,
                ["layer_norm_eps"] = 1e-12,
                ["pad_token_id"] = isRoberta ? 1 : 0,
            };
        Config["model_type"] = family;
        Config["architectures"] = new JsonArray(prefix + task);
        if (task == "ForSequenceClassification")
            Config["id2label"] = new JsonObject { ["0"] = "bad", ["1"] = "so-so", ["2"] = "good" };
        loops = new ReferenceDecoder(tensors) { Layers = Layers, Heads = Heads, KeyValueHeads = Heads, HeadWidth = Width / Heads, Epsilon = 1e-12, Embed = (_, _) => [], Block = (_, _, x) => x, Head = (_, x) => x };
    }

    /// <summary>Hidden states of the last block.</summary>
    public double[][] Hidden(int[] tokens, int second = int.MaxValue)
    {
        string embeddings = (task == "Model" ? "" : family + ".") + "embeddings.";
        double[][] x = [.. tokens.Select((id, t) =>
        {
            double[] row = Add(loops.Row(embeddings + "word_embeddings.weight", id), loops.Row(embeddings + "position_embeddings.weight", family == "roberta" ? t + 2 : t));
            return loops.LayerNorm(embeddings + "LayerNorm", family == "distilbert" ? row : Add(row, loops.Row(embeddings + "token_type_embeddings.weight", t >= second ? 1 : 0)));
        })];
        for (int l = 0; l < Layers; l++)
        {
            Names n = NamesOf(l);
            double[][] q = [.. x.Select(row => loops.Linear(n.Query, row))], k = [.. x.Select(row => loops.Linear(n.Key, row))], v = [.. x.Select(row => loops.Linear(n.Value, row))], read = x;
            x = [.. x.Select((row, t) =>
            {
                double[] y = loops.LayerNorm(n.First, Add(row, loops.Linear(n.Output, Mixed(q[t], k, v))));
                return loops.LayerNorm(n.Second, Add(y, loops.Linear(n.Down, [.. loops.Linear(n.Up, y).Select(Gelu)])));
            })];
        }
        return x;
    }

    /// <summary>What the task gives of the tokens.</summary>
    public double[][] Result(int[] tokens)
    {
        double[][] hidden = Hidden(tokens);
        return (task, family) switch
        {
            ("ForSequenceClassification", "bert") => [loops.Linear("classifier", Tanh(loops.Linear("bert.pooler.dense", hidden[0])))],
            ("ForSequenceClassification", "roberta") => [loops.Linear("classifier.out_proj", Tanh(loops.Linear("classifier.dense", hidden[0])))],
            ("ForSequenceClassification", _) => [loops.Linear("classifier", [.. loops.Linear("pre_classifier", hidden[0]).Select(v => Math.Max(v, 0))])],
            ("ForMaskedLM", "bert") => Masked(hidden, "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),
            ("ForMaskedLM", "roberta") => Masked(hidden, "lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
            ("ForMaskedLM", _) => Masked(hidden, "vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
            _ => hidden,
        };
    }

    /// <summary>Writes config.json and model.safetensors, float32; perhaps under other names, beside other tensors.</summary>
    public void Write(string folder, Func<string, string>? rename = null, params IEnumerable<TensorSource> more)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), Config.ToJsonString());
        SafeTensorsWriter.WriteFolder(folder, [.. tensors.Select(pair => TensorSource.Floats(rename?.Invoke(pair.Key) ?? pair.Key, DType.F32, Tensor.From(Shape.Create(pair.Value.Shape), [.. pair.Value.Data.Select(v => (float)v)]))), .. more]);
    }

    double[][] Masked(double[][] hidden, string dense, string norm, string bias) => [.. hidden.Select(row =>
    {
        double[] y = loops.LayerNorm(norm, [.. loops.Linear(dense, row).Select(Gelu)]), b = tensors[bias].Data;
        return Enumerable.Range(0, Vocabulary).Select(id => loops.Row($"{family}.embeddings.word_embeddings.weight", id).Zip(y, (w, v) => w * v).Sum() + b[id]).ToArray();
    })];

    static double[] Mixed(double[] query, double[][] k, double[][] v)
    {
        int d = Width / Heads;
        double[] mixed = new double[Width];
        for (int h = 0; h < Heads; h++)
        {
            double[] e = [.. k.Select(key => Math.Exp(Enumerable.Range(h * d, d).Sum(i => query[i] * key[i]) / Math.Sqrt(d)))];
            for (int s = 0; s < k.Length; s++)
                for (int i = h * d; i < (h + 1) * d; i++)
                    mixed[i] += e[s] / e.Sum() * v[s][i];
        }
        return mixed;
    }

    static double[] Tanh(double[] x) => [.. x.Select(Math.Tanh)];

    Names NamesOf(int layer)
    {
        string top = task == "Model" ? "" : family + ".", block = family == "distilbert" ? $"{top}transformer.layer.{layer}." : $"{top}encoder.layer.{layer}.";
        return family == "distilbert"
            ? new(block + "attention.q_lin", block + "attention.k_lin", block + "attention.v_lin", block + "attention.out_lin", block + "sa_layer_norm", block + "ffn.lin1", block + "ffn.lin2", block + "output_layer_norm")
            : new(block + "attention.self.query", block + "attention.self.key", block + "attention.self.value", block + "attention.output.dense", block + "attention.output.LayerNorm", block + "intermediate.dense", block + "output.dense", block + "output.LayerNorm");
    }

    sealed record Names(string Query, string Key, string Value, string Output, string First, string Up, string Down, string Second);

    void Make(string name, params int[] shape) => tensors.Add(name, (shape, [.. Enumerable.Range(0, shape.Aggregate((a, b) => a * b)).Select(_ =>
        (double)(float)((random.NextDouble() - 0.5) * (shape.Length == 1 ? 0.6 : 3.2 / Math.Sqrt(shape[^1])) + (name.EndsWith("orm.weight", StringComparison.Ordinal) ? 1 : 0)))]));

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
