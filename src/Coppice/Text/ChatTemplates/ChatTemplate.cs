using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>One turn of a conversation.</summary>
/// <param name="Role">Who speaks: "system", "user", "assistant", or what else the template knows.</param>
/// <param name="Content">What is said.</param>
public sealed record ChatMessage(string Role, string Content);

/// <summary>What a template gets beside the conversation.</summary>
public sealed record ChatTemplateOptions
{
    /// <summary>Whether the text ends with the beginning of the assistant's turn.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>What <c>strftime_now</c> tells; the machine's time where it is null.</summary>
    public DateTimeOffset? Now { get; init; }

    /// <summary>Further variables, such as "tools", "documents" or "enable_thinking".</summary>
    public JsonObject Variables { get; init; } = [];
}

/// <summary>
/// A chat template: how a model's makers write a conversation as one text, in the part of Jinja that such templates use, with the settings of Hugging Face's Transformers. A template comes with a model and is
/// not trusted: it reads nothing but its variables, and its steps, texts and depth are bounded. Safe for use from several threads.
/// </summary>
public sealed class ChatTemplate
{
    const int MaxSource = 1 << 20, MaxRange = 1_000_000;

    readonly IReadOnlyList<Node> nodes;
    readonly string? bos, eos;

    /// <summary>Parses a template.</summary>
    /// <param name="source">The template.</param>
    /// <param name="bos">The spelling of the token that starts a document, the variable <c>bos_token</c>.</param>
    /// <param name="eos">The spelling of the token that ends a document, the variable <c>eos_token</c>.</param>
    /// <exception cref="CoppiceException">It is no Jinja that we know; the message names line and reason.</exception>
    public ChatTemplate(string source, string? bos = null, string? eos = null)
    {
        if (source.Length > MaxSource)
            throw new CoppiceException($"The chat template has {source.Length:N0} characters, wanted at most {MaxSource:N0}");
        (Source, this.bos, this.eos, nodes) = (source, bos, eos, TemplateParser.Parse(source));
    }

    /// <summary>The template.</summary>
    public string Source { get; }

    /// <summary>The text of a conversation. Encode it with <see cref="SpecialMarkers.Parse"/>, since its markers are control tokens: a message that holds one speaks for the template, so check messages from outside.</summary>
    /// <exception cref="CoppiceException">The template failed or refused the conversation; the message names its line.</exception>
    [OverloadResolutionPriority(1)]
    public string Render(IReadOnlyList<ChatMessage> messages, ChatTemplateOptions? options = null) =>
        Render([.. messages.Select(message => (JsonNode)new JsonObject { ["role"] = message.Role, ["content"] = message.Content })], options);

    /// <summary>The same for messages with more than a role and a text, such as tool calls, or content in parts.</summary>
    /// <exception cref="CoppiceException">The template failed or refused the conversation; the message names its line.</exception>
    public string Render(JsonArray messages, ChatTemplateOptions? options = null)
    {
        options ??= new ChatTemplateOptions();
        TemplateBudget budget = new();
        TemplateScope scope = new(null)
        {
            ["messages"] = ToValue(messages),
            ["add_generation_prompt"] = options.AddGenerationPrompt,
            ["bos_token"] = bos ?? "",
            ["eos_token"] = eos ?? "",
            ["tools"] = null,
            ["documents"] = null,
            ["raise_exception"] = (TemplateFunction)((arguments, _) => throw new CoppiceException(TemplateValues.ToText(arguments.FirstOrDefault("it refused the conversation")))),
            ["strftime_now"] = (TemplateFunction)((arguments, _) => Format(options.Now ?? DateTimeOffset.Now, TemplateValues.ToText(arguments.FirstOrDefault("")))),
            ["namespace"] = (TemplateFunction)Namespace,
            ["dict"] = (TemplateFunction)((_, named) => TemplateValues.ToMap(named.Select(entry => (entry.Key, entry.Value)))),
            ["range"] = (TemplateFunction)((arguments, _) => Numbers([.. arguments.Select(TemplateValues.ToInteger)], budget)),
        };
        foreach ((string name, JsonNode? value) in options.Variables)
            scope[name] = ToValue(value);
        return new TemplateInterpreter(budget).Run(nodes, new TemplateScope(scope));
    }

    static object? ToValue(JsonNode? json)
    {
        using JsonDocument document = JsonDocument.Parse(json?.ToJsonString() ?? "null");
        return TemplateValues.FromJson(document.RootElement);
    }

    static object? Namespace(IReadOnlyList<object?> arguments, IReadOnlyDictionary<string, object?> named)
    {
        TemplateMap map = new() { IsNamespace = true };
        foreach ((string key, object? value) in (arguments.FirstOrDefault() as TemplateMap ?? []).Concat(named))
            map[key] = value;
        return map;
    }

    static List<object?> Numbers(IReadOnlyList<long> bounds, TemplateBudget budget)
    {
        (long first, long end, long step) = bounds switch
        {
            [var stop] => (0, stop, 1),
            [var start, var stop] => (start, stop, 1),
            [var start, var stop, var by and not 0] => (start, stop, by),
            _ => throw new CoppiceException("range wants one number to three, and no step of 0"),
        };
        double count = Math.Ceiling(((double)end - first) / step);
        if (count > MaxRange)
            throw new CoppiceException($"a range of more than {MaxRange:N0} numbers");
        budget.Step((long)Math.Max(count, 0));
        List<object?> numbers = [];
        for (long i = 0; i < count; i++)
            numbers.Add(first + i * step);
        return numbers;
    }

    // C's strftime
    static string Format(DateTimeOffset time, string format)
    {
        StringBuilder text = new();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
                continue;
            }
            bool isShort = format[i + 1] == '-' && i + 2 < format.Length;
            i += isShort ? 2 : 1;
            string? pattern = format[i] switch
            {
                'Y' => "yyyy",
                'y' => "yy",
                'm' => isShort ? "%M" : "MM",
                'd' => isShort ? "%d" : "dd",
                'H' => isShort ? "%H" : "HH",
                'I' => isShort ? "%h" : "hh",
                'M' => isShort ? "%m" : "mm",
                'S' => isShort ? "%s" : "ss",
                'B' => "MMMM",
                'b' => "MMM",
                'A' => "dddd",
                'a' => "ddd",
                'p' => "tt",
                _ => null,
            };
            text.Append(format[i] switch
            {
                '%' => "%",
                'j' => time.DayOfYear.ToString(isShort ? "0" : "000", CultureInfo.InvariantCulture),
                _ => time.ToString(pattern ?? throw new CoppiceException($"strftime_now does not know %{format[i]}"), CultureInfo.InvariantCulture),
            });
        }
        return text.ToString();
    }
}
