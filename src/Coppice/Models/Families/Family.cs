using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>What stands between a family's checkpoints and <see cref="DecoderModel"/>: its settings, and the names and layouts of its tensors.</summary>
abstract class Family
{
    static readonly Family[] all = [new Llama(), new Mistral(), new Mixtral(), new Qwen2(), new Qwen2Moe(), new Qwen3(), new Qwen3Moe(), new Phi3(), new Gemma2(), new Gemma3(), new Olmo2(), new Gpt2(), new Opt(), new GptNeoX()];

    /// <summary>Hugging Face's <c>model_type</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Hugging Face's class, for <c>architectures</c>.</summary>
    public abstract string ClassName { get; }

    /// <summary>llama.cpp's architecture, or null where it has none.</summary>
    public virtual string? GgufArchitecture => null;

    /// <summary>Whether the settings say how wide a head is; otherwise all heads make up the width.</summary>
    public virtual bool StoresHeadWidth => false;

    /// <summary>Whether llama.cpp takes the width of a head from its file in this architecture; otherwise it has all heads make up the width.</summary>
    public virtual bool GgufStoresHeadWidth => StoresHeadWidth;

    /// <summary>Whether a GGUF file holds a model of the family.</summary>
    public virtual bool Reads(Gguf file) => GgufArchitecture == file.Get<string>("general.architecture");

    /// <summary>The families, by <c>model_type</c>.</summary>
    public static IEnumerable<string> Names => all.Select(family => family.Name);

    /// <summary>The family of a model.</summary>
    public static Family Of(DecoderConfig config) => all.First(family => family.Name == config.Family);

    /// <summary>The family that a config.json names.</summary>
    /// <exception cref="CoppiceException">There is no such family.</exception>
    public static Family Of(JsonFields json)
    {
        string type = json.Text("model_type", "");
        return all.FirstOrDefault(family => family.Name == type)
            ?? throw json.Error($"model_type is '{type}', wanted one of {string.Join(", ", Names.Concat(EncoderFamily.Names).Append(Marian.Name))}");
    }

    /// <summary>The family that a GGUF file names.</summary>
    /// <exception cref="CoppiceException">There is no such family.</exception>
    public static Family Of(Gguf file)
    {
        string architecture = file.Get<string>("general.architecture");
        return all.FirstOrDefault(family => family.Reads(file))
            ?? throw new CoppiceException($"{file.Path}: the architecture is '{architecture}', wanted one of {string.Join(", ", all.Select(family => family.GgufArchitecture).OfType<string>().Distinct())}");
    }

    /// <summary>Reads config.json's fields, refusing what is not computed here.</summary>
    public abstract DecoderConfig Read(JsonFields json);

    /// <summary>The fields of config.json but for <c>architectures</c>, <c>model_type</c>, the number type and the tokens.</summary>
    public abstract JsonObject Write(DecoderConfig config);

    /// <summary>Where a Hugging Face folder keeps the tensor that we call <paramref name="name"/>.</summary>
    public virtual TensorPlace InFolder(string name, DecoderConfig config) => new(name);

    /// <summary>Whether a folder's tensor follows from the settings, so that it may be there without a use.</summary>
    public virtual bool IsDerived(string name) => name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal);

    /// <summary>Reads a GGUF file's keys.</summary>
    public virtual DecoderConfig Read(Gguf file) => throw new NotSupportedException($"{Name} has no GGUF architecture");

    /// <summary>The keys of a GGUF file that are not the same for every family.</summary>
    /// <exception cref="CoppiceException">llama.cpp does not compute this model.</exception>
    public virtual IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config) => [];

    /// <summary>Where a GGUF file keeps the tensor that we call <paramref name="name"/>.</summary>
    public virtual TensorPlace InGguf(string name, DecoderConfig config) => new(TensorNames.Gguf.Of(name));

    /// <summary>Which of query, key and value a tensor of ours is, as rows of all three one behind another; null for other tensors.</summary>
    protected static (int First, int Count, int All)? QueryKeyValueRows(string name, DecoderConfig config)
    {
        int queries = config.HeadCount * config.HeadWidth, keys = config.KeyValueHeadCount * config.HeadWidth, all = queries + 2 * keys;
        return name.Contains(".q_proj.", StringComparison.Ordinal) ? (0, queries, all)
            : name.Contains(".k_proj.", StringComparison.Ordinal) ? (queries, keys, all)
            : name.Contains(".v_proj.", StringComparison.Ordinal) ? (queries + keys, keys, all)
            : null;
    }

    /// <summary>The activation that a config.json names.</summary>
    internal static Activation ReadActivation(JsonFields json, string field, string absent) => json.Text(field, absent) switch
    {
        "silu" or "swish" => Activation.Silu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => Activation.GeluTanh,
        "gelu" => Activation.Gelu,
        "relu" => Activation.Relu,
        string other => throw json.Error($"{field} is '{other}', wanted silu, gelu, gelu_new, gelu_pytorch_tanh or relu"),
    };

    /// <summary>How a config.json names an activation.</summary>
    internal static string WriteActivation(Activation activation) => activation switch
    {
        Activation.Silu => "silu",
        Activation.GeluTanh => "gelu_pytorch_tanh",
        Activation.Gelu => "gelu",
        Activation.Tanh => "tanh",
        _ => "relu",
    };

    /// <summary>Throws unless a flag has its usual value.</summary>
    internal static void Expect(JsonFields json, string field, bool wanted)
    {
        if (json.Flag(field, wanted) != wanted)
            throw json.Error($"{field} is {(wanted ? "false" : "true")}, which this version cannot compute");
    }
}
