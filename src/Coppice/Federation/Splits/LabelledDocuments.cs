using Coppice.Evaluation;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Federation.Splits;

/// <summary>A document and what it is of: an author, a speaker, a topic, a class.</summary>
public sealed record LabelledDocument(Document Document, string Label);

/// <summary>Documents with labels, from what a corpus has of them.</summary>
public static class LabelledDocuments
{
    /// <summary>
    /// Opens documents: of <c>sdk</c>, labelled with their assembly; of a folder, with its file or subfolder; of a .jsonl or .tsv file, with a field or column (see <see cref="LabelledTexts"/>);
    /// and of a play in a .txt file, whose speeches stand between blank lines below a line <c>NAME:</c>, with the speaker. A speech without words is passed over.
    /// </summary>
    /// <param name="field">The field or column of a .jsonl or .tsv file that is the label.</param>
    /// <exception cref="CoppiceException">There is no such text, it has no labels, or it cannot be read; the message names the line.</exception>
    public static IReadOnlyList<LabelledDocument> Open(string spec, string field = "label", CorpusOptions? options = null, CancellationToken cancel = default)
    {
        if (spec == "sdk" || Directory.Exists(spec))
            return [.. ClientCorpus.Open(spec, options, cancel).SelectMany(part => part.Train.Documents.Select(document => new LabelledDocument(document, part.Client)))];
        return Path.GetExtension(spec) switch
        {
            ".jsonl" or ".tsv" => [.. LabelledTexts.Read(spec, field).Texts.Select((text, i) => new LabelledDocument(new Document($"{spec}: text {i + 1}", text.Second is null ? text.Text : $"{text.Text}\n{text.Second}"), text.Label))],
            ".txt" => options?.Unit == DocumentUnit.Line ? throw new CoppiceException($"{spec}: lines have no labels; wanted speeches, or a split that looks at no labels") : Speeches(spec),
            _ => throw new CoppiceException($"{spec}: has no labels; wanted sdk, a folder with a file or subfolder for each, a .jsonl or .tsv file with '{field}', or a play in a .txt file"),
        };
    }

    static List<LabelledDocument> Speeches(string path)
    {
        List<LabelledDocument> speeches = [];
        List<string> words = [];
        string? speaker = null;
        int first = 0;
        foreach ((int i, string line) in ReadLines(path).Append("").Index())
        {
            if (string.IsNullOrWhiteSpace(line))
            {
                if (words.Count > 0)
                    speeches.Add(new LabelledDocument(new Document($"{path}:{first}", string.Join('\n', words)), speaker!));
                speaker = null;
                words.Clear();
            }
            else if (speaker is not null)
                words.Add(line);
            else if (line.TrimEnd() is [.. { Length: > 0 } name, ':'])
                (speaker, first) = (name, i + 1);
            else
                throw FormatError.At(path, $"line {i + 1} is '{line}', wanted a speaker as 'NAME:' above a speech");
        }
        return speeches.Count > 0 ? speeches : throw FormatError.At(path, "holds no speech");
    }

    static string[] ReadLines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw FormatError.At(path, $"could not be read: {error.Message}", error);
        }
    }
}
