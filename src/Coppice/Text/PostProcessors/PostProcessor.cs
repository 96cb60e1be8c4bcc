namespace Coppice.Text.PostProcessors;

/// <summary>Puts the tokens that a model expects around one text or two, such as [CLS] and [SEP].</summary>
abstract class PostProcessor
{
    /// <summary>What a model gets for a text and perhaps a second.</summary>
    public abstract TokenSequence Apply(TokenSequence first, TokenSequence? second);

    /// <summary>Reads a "post_processor".</summary>
    public static PostProcessor Read(JsonPart part) => part.Type() switch
    {
        "Sequence" => new PostProcessorSequence([.. part.Only("processors").Get("processors").Items().Select(Read)]),
        "TemplateProcessing" => Template.From(part),
        "BertProcessing" => ClassifierTokens.From(part.Only("sep", "cls"), pairSeparators: 1),
        "RobertaProcessing" => ClassifierTokens.From(part.Only("sep", "cls", "trim_offsets", "add_prefix_space"), pairSeparators: 2),
        // it moves offsets only
        "ByteLevel" => new PostProcessorSequence([]).After(part.Only("add_prefix_space", "trim_offsets", "use_regex")),
        string type => throw part.Error($"has type '{type}', which is no post-processor that we know: Sequence, TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel"),
    };

    /// <summary>One behind the other.</summary>
    public static TokenSequence Join(params IReadOnlyList<TokenSequence> parts) => new([.. parts.SelectMany(part => part.Ids)], [.. parts.SelectMany(part => part.TypeIds)]);

    // so that a case that takes no options can check that there are none
    PostProcessor After(JsonPart _) => this;
}

/// <summary>One after another; what the first made of two texts is one text to the next.</summary>
sealed class PostProcessorSequence(IReadOnlyList<PostProcessor> parts) : PostProcessor
{
    public override TokenSequence Apply(TokenSequence first, TokenSequence? second)
    {
        foreach (PostProcessor part in parts)
        {
            if (part is PostProcessorSequence { IsEmpty: true })
                continue;
            (first, second) = (part.Apply(first, second), null);
        }
        return second is null ? first : Join(first, second);
    }

    bool IsEmpty => parts.Count == 0 || parts.All(part => part is PostProcessorSequence { IsEmpty: true });
}
