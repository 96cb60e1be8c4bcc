using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>What stands between a family's checkpoints and <see cref="EncoderModel"/>: its settings, and the names of its tensors.</summary>
abstract class EncoderFamily
{
    static readonly EncoderFamily[] all = [new Bert(), new Roberta(), new DistilBert()];

    /// <summary>Hugging Face's <c>model_type</c>.</summary>
    public abstract string Name { get; }

    /// <summary>What comes before <c>Model</c>, <c>ForMaskedLM</c> and <c>ForSequenceClassification</c> in Hugging Face's classes.</summary>
    public abstract string ClassPrefix { get; }

    /// <summary>The families, by <c>model_type</c>.</summary>
    public static IEnumerable<string> Names => all.Select(family => family.Name);

    /// <summary>The family of a model.</summary>
    public static EncoderFamily Of(EncoderConfig config) => all.First(family => family.Name == config.Family);

    /// <summary>The family that a config.json names, or null.</summary>
    public static EncoderFamily? Of(JsonFields json) => all.FirstOrDefault(family => family.Name == json.Text("model_type", ""));

    /// <summary>Reads config.json's fields but for the task and its classes.</summary>
    protected abstract EncoderConfig ReadSizes(JsonFields json);

    /// <summary>The fields of <see cref="ReadSizes"/>.</summary>
    public abstract JsonObject Write(EncoderConfig config);

    /// <summary>Where a folder keeps the tensor that we call <paramref name="name"/>.</summary>
    public abstract TensorPlace InFolder(string name, EncoderConfig config);

    /// <summary>Whether a folder's tensor may be there without a use: it follows from the settings, is the tied table again, or belongs to a head of pretraining.</summary>
    public abstract bool MayStay(string name, EncoderConfig config);

    /// <summary>Reads config.json.</summary>
    /// <exception cref="CoppiceException">It asks for a head that is not computed here.</exception>
    public EncoderConfig Read(JsonFields json)
    {
        string name = json.Has("architectures") && json.Texts("architectures") is [string first, ..] ? first : ClassOf(EncoderTask.Embedding);
        EncoderTask task = Enum.GetValues<EncoderTask>().Cast<EncoderTask?>().FirstOrDefault(task => ClassOf(task!.Value) == name)
            ?? throw json.Error($"architectures names {name}, wanted {string.Join(", ", Enum.GetValues<EncoderTask>().Select(ClassOf))}");
        return ReadSizes(json) with { Task = task, Labels = task == EncoderTask.Classification ? ReadLabels(json) : [] };
    }

    /// <summary>Hugging Face's class for a task.</summary>
    public string ClassOf(EncoderTask task) => ClassPrefix + task switch
    {
        EncoderTask.Classification => "ForSequenceClassification",
        EncoderTask.MaskedLanguage => "ForMaskedLM",
        _ => "Model",
    };

    static IReadOnlyList<string> ReadLabels(JsonFields json)
    {
        if (json.Text("problem_type", "single_label_classification") is var problem && problem != "single_label_classification")
            throw json.Error($"problem_type is '{problem}', wanted single_label_classification");
        if (!json.Has("id2label"))
            return [.. Enumerable.Range(0, json.Integer("num_labels", 2)).Select(label => $"LABEL_{label}")];
        JsonFields labels = json.Object("id2label");
        List<string> names = [];
        while (labels.Has($"{names.Count}"))
            names.Add(labels.Text($"{names.Count}"));
        return labels.Count == names.Count ? names : throw json.Error($"id2label has {labels.Count} classes, of which {names.Count} are numbered from 0");
    }
}
