using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Interop;

/// <summary>A text of one file, greedy or given, and the logits before each of its tokens.</summary>
/// <param name="File">The .gguf.</param>
/// <param name="Type">How it stores its matrices.</param>
/// <param name="Logits">A file of float32 [tokens generated, vocabulary], little-endian.</param>
/// <param name="Prompt">Ids, BOS first where the tokenizer has one.</param>
/// <param name="Greedy">The ids that follow.</param>
sealed record Run(string File, string Type, string Logits, int[] Prompt, int[] Greedy)
{
    const int Tokens = 64;

    static readonly string[] Prompts = ["Gets or sets the", "Returns a value that indicates whether", "The exception that is thrown when"];

    /// <summary>Random ids in place of a greedy text: any model says something of them.</summary>
    public static Run Forced(LanguageModel language, string output, string file, GgmlType type, WorkerPool pool)
    {
        const int first = 8;
        Random random = new(1);
        int[] ids = [.. Enumerable.Range(0, first + Tokens).Select(_ => random.Next(language.Tokenizer.Count))];
        int vocabulary = language.Model.VocabularySize;
        Tensor all = language.Model.Forward(new Batch(ids), new ForwardContext(pool));
        string logits = $"{Path.GetFileNameWithoutExtension(file)}.logits";
        System.IO.File.WriteAllBytes(Path.Combine(output, logits), MemoryMarshal.AsBytes(all.Data.Slice((first - 1) * vocabulary, Tokens * vocabulary)));
        return new Run(file, type.Name, logits, ids[..first], ids[first..]);
    }

    /// <summary>One run for each of the first <paramref name="prompts"/>; logits go to files beside the model.</summary>
    public static IEnumerable<Run> Record(LanguageModel language, string output, string file, GgmlType type, int prompts, WorkerPool pool)
    {
        for (int i = 0; i < prompts; i++)
        {
            int[] prompt = [.. language.Tokenizer.BosId is { } bos ? (int[])[bos] : [], .. language.Tokenizer.Encode(Prompts[i])];
            Generator generator = new(language.Model, new Sampler(), pool, capacity: prompt.Length + Tokens);
            generator.Prefill(prompt);
            string logits = $"{Path.GetFileNameWithoutExtension(file)}-{i}.logits";
            using FileStream stream = System.IO.File.Create(Path.Combine(output, logits));
            int[] greedy = new int[Tokens];
            for (int t = 0; t < Tokens; t++)
            {
                if (!generator.Next(out greedy[t]))
                    throw new InvalidOperationException($"{file}: the text ended after {t} tokens, wanted {Tokens}: {generator.Stop}");
                stream.Write(MemoryMarshal.AsBytes(generator.Logits));
            }
            yield return new Run(file, type.Name, logits, prompt, greedy);
        }
    }
}
