using Coppice.Tests.Text;
using Coppice.Text;

namespace Coppice.Interop;

/// <summary>What the tokenizers are compared on: texts made to break them, random mixtures of scripts, and lines of real documentation.</summary>
static class Lines
{
    const int Mixed = 500, Real = 1500;

    static readonly string[] Markers = ["<|endoftext|>", "a<|endoftext|>b", " <|endoftext|> ", "<|endoftext|", "<|ENDOFTEXT|>", "<|endoftext|><|endoftext|>x"];

    public static IEnumerable<Line> Of(Tokenizer tokenizer) =>
        HostileText.Samples
            .Concat(Markers)
            .Concat(HostileText.Random(seed: 1, Mixed).Select(mixed => mixed.Text))
            .Concat(Corpus.Open("sdk:test").Documents.SelectMany(document => document.Text.Split('\n')).Where(line => line.Length > 0).Distinct().Take(Real))
            .Select(text => new Line(text, tokenizer.Encode(text), tokenizer.Encode(text, SpecialMarkers.Parse)));
}
