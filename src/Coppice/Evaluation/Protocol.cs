using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Evaluation;

/// <summary>How documents become windows.</summary>
public enum Windowing
{
    /// <summary>One window a document: its first tokens, as many as the context holds. The rest is not scored. llama2.c's way.</summary>
    Documents,

    /// <summary>Each document whole, in overlapping windows; a window scores only the tokens that the one before did not reach. The way of Hugging Face's guide to perplexity.</summary>
    Strided,

    /// <summary>All documents joined by blank lines into one text, in disjoint windows; a window's first token and a last window that is not full are not scored. The way of GPTQ's evaluation.</summary>
    Concatenated,
}

/// <summary>Which tokens are scored, and what each of them sees.</summary>
public sealed record Protocol
{
    /// <summary>How documents become windows.</summary>
    public required Windowing Windowing { get; init; }

    /// <summary>Tokens in a window, BOS included; at least 2.</summary>
    public required int Context { get; init; }

    /// <summary>Tokens from one window's start to the next's, 1 to <see cref="Context"/>. Only for <see cref="Windowing.Strided"/>; the others have <see cref="Context"/>.</summary>
    public required int Stride { get; init; }

    /// <summary>Documents with fewer characters are left out.</summary>
    public int MinimumCharacters { get; init; }

    /// <summary>What suits a text: each document cut at <paramref name="context"/> tokens; or, where there are too few to know an error from and one is longer, each of them whole, in disjoint windows.</summary>
    public static Protocol For(Corpus corpus, Tokenizer tokenizer, int context)
    {
        // A token of the vocabularies that are in use stands for fewer characters.
        const int CharactersAToken = 64;
        int most = CharactersAToken * context;
        bool isFew = corpus.Documents.Count < EvaluationText.FewestDocuments;
        return isFew && corpus.Documents.Any(document => document.Text.Length > most || document.Text.Length >= context / 2 && tokenizer.Encode(document.Text).Length >= context) ? Strided(context, context) : Documents(context);
    }

    /// <summary>Each document by itself, cut at <paramref name="context"/> tokens.</summary>
    public static Protocol Documents(int context) => new() { Windowing = Windowing.Documents, Context = context, Stride = context };

    /// <summary>Each document whole, in windows of <paramref name="context"/> tokens every <paramref name="stride"/> tokens.</summary>
    public static Protocol Strided(int context, int stride) => new() { Windowing = Windowing.Strided, Context = context, Stride = stride };

    /// <summary>Everything in a row, in disjoint windows; the papers' context is 2048.</summary>
    public static Protocol Concatenated(int context = 2048) => new() { Windowing = Windowing.Concatenated, Context = context, Stride = context };

    /// <summary>Its name in a signature: <c>documents</c>, <c>hf-stride</c> or <c>gptq</c>.</summary>
    public string Name => Windowing switch { Windowing.Documents => "documents", Windowing.Strided => "hf-stride", _ => "gptq" };

    /// <summary>Throws with the first setting that cannot be.</summary>
    /// <exception cref="CoppiceException">A setting lies outside its range.</exception>
    public void Validate()
    {
        if (Context < 2)
            throw new CoppiceException($"Evaluation: a context of {Context} tokens, wanted 2 or more");
        if (Stride < 1 || Stride > Context)
            throw new CoppiceException($"Evaluation: a stride of {Stride} tokens, wanted 1 to the context of {Context}");
        if (Windowing != Windowing.Strided && Stride != Context)
            throw new CoppiceException($"Evaluation: protocol {Name} has no stride of its own, wanted {Context}");
        if (MinimumCharacters < 0)
            throw new CoppiceException($"Evaluation: at least {MinimumCharacters} characters, wanted 0 or more");
    }
}
