using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Coppice.Evaluation;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Budget;

/// <summary>What a search has done so far, in a folder: a journal of each recipe's run, where its matrices stay, and every KL that was measured, a line each. An interrupted search goes on from it.</summary>
sealed class BudgetJournal
{
    const string SignatureName = "signature.txt", MeasuredName = "measured.txt";

    readonly string folder;
    readonly Dictionary<string, Estimate> measured = new(StringComparer.Ordinal);

    /// <summary>The journal in a folder, new or left by an interrupted search.</summary>
    /// <exception cref="CoppiceException">The folder holds another search's work.</exception>
    public BudgetJournal(string folder, IReadOnlyList<Recipe> recipes, IReadOnlyList<int[]> slice, int tokens)
    {
        this.folder = folder;
        string path = Path.Combine(folder, SignatureName), signature = Signature(recipes, slice, tokens);
        try
        {
            Directory.CreateDirectory(folder);
            if (File.Exists(path) && File.ReadAllText(path) != signature)
                throw new CoppiceException($"{folder}: holds the work of another search (recipes, text or --budget-tokens differ); delete it, or name another output");
            AtomicFile.WriteText(path, signature);
            // A line that was cut off is measured again.
            string text = File.Exists(Path.Combine(folder, MeasuredName)) ? File.ReadAllText(Path.Combine(folder, MeasuredName)) : "";
            text = text[..(text.LastIndexOf('\n') + 1)];
            AtomicFile.WriteText(Path.Combine(folder, MeasuredName), text);
            foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
                if (line.Split('\t') is [var what, var value, var error, var clusters])
                    measured[what] = new Estimate(double.Parse(value, CultureInfo.InvariantCulture), double.Parse(error, CultureInfo.InvariantCulture), int.Parse(clusters, CultureInfo.InvariantCulture));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new CoppiceException($"{folder}: could not be used as a journal: {error.Message}", error);
        }
    }

    /// <summary>The journal of a recipe's run.</summary>
    /// <exception cref="CoppiceException">It is of another model, calibration text or seed.</exception>
    public Journal Of(int place, Recipe recipe, Model model, IReadOnlyList<int[]> calibration, int seed) =>
        Journal.Open(Path.Combine(folder, $"recipe-{place + 1:D2}"), model, recipe, calibration, seed);

    /// <summary>A KL that was measured before, or is now.</summary>
    public Estimate Kl(string what, Func<Estimate> measure)
    {
        if (measured.TryGetValue(what, out Estimate before))
            return before;
        Estimate kl = measure();
        try
        {
            File.AppendAllText(Path.Combine(folder, MeasuredName), string.Create(CultureInfo.InvariantCulture, $"{what}\t{kl.Value:R}\t{kl.StandardError:R}\t{kl.Clusters}\n"));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoppiceException($"{folder}: what was measured could not be kept: {error.Message}", error);
        }
        return measured[what] = kl;
    }

    static string Signature(IReadOnlyList<Recipe> recipes, IReadOnlyList<int[]> slice, int tokens)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (int[] sequence in slice)
        {
            hash.AppendData(BitConverter.GetBytes(sequence.Length));
            hash.AppendData(MemoryMarshal.AsBytes(sequence.AsSpan()));
        }
        foreach (Recipe recipe in recipes)
            hash.AppendData(Encoding.UTF8.GetBytes(recipe.ToYaml() + '\0'));
        return $"search 1\nrecipes and text {Convert.ToHexStringLower(hash.GetHashAndReset())}\ntokens {tokens}\n";
    }
}
