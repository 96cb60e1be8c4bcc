using System.Globalization;
using System.Text;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Widths;

/// <summary>A number for each client: some by name, the others dealt by shares. <c>0.5:0.4,1:0.6</c> gives 40% of the clients 0.5, <c>anna=0.25,1</c> one client 0.25 and the others 1; shares that are left out are equal.</summary>
sealed class DealtNumbers
{
    readonly Dictionary<string, double> named = new(StringComparer.Ordinal);
    readonly List<(double Value, double Share)> dealt = [];

    /// <summary>Reads a text; <paramref name="kind"/> says in errors what the numbers are.</summary>
    /// <exception cref="CoppiceException">It is no such text, or a number is not from <paramref name="least"/> to <paramref name="most"/>.</exception>
    public DealtNumbers(string kind, string text, double least, double most, bool isWhole = false)
    {
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            int equals = part.LastIndexOf('=');
            string[] words = part[(equals + 1)..].Split(':');
            double value = Number(words[0], least, most);
            if (isWhole && value != Math.Floor(value))
                throw FormatError.At(kind, $"'{words[0]}' in '{text}', wanted a whole number");
            if (equals > 0 && words.Length == 1 && named.TryAdd(part[..equals], value))
                continue;
            if (equals >= 0 || words.Length > 2)
                throw FormatError.At(kind, $"'{part}' of '{text}', wanted NUMBER, NUMBER:SHARE or CLIENT=NUMBER, each client once");
            dealt.Add((value, words.Length == 1 ? 1 : Number(words[1], 1e-6, 1e6)));
        }
        if (dealt.Count == 0)
            throw FormatError.At(kind, $"'{text}' has no number for clients that it does not name");
        Name = text;

        double Number(string word, double low, double high) => double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= low && value <= high
            ? value
            : throw FormatError.At(kind, string.Create(CultureInfo.InvariantCulture, $"'{word}' in '{text}', wanted a number from {low} to {high}"));
    }

    /// <summary>The text.</summary>
    public string Name { get; }

    /// <summary>The number of each client. Shares fall on whole clients, so that each is off by less than one; who gets which is drawn by the seed.</summary>
    /// <exception cref="CoppiceException">A client that is named is not there.</exception>
    public SortedDictionary<string, double> Deal(IEnumerable<string> clients, string purpose, int seed)
    {
        SortedDictionary<string, double> numbers = new(StringComparer.Ordinal);
        foreach (string client in clients)
            numbers.Add(client, named.GetValueOrDefault(client));
        if (named.Keys.FirstOrDefault(client => !numbers.ContainsKey(client)) is { } missing)
            throw new CoppiceException($"Federation: '{Name}' is for client '{missing}', which is not in the run ({new StringBuilder().AppendJoin(", ", numbers.Keys)})");
        string[] others = [.. numbers.Keys.Where(client => !named.ContainsKey(client))];
        Seeds.Generator(seed, purpose, 0).Shuffle(others);
        double all = dealt.Sum(part => part.Share);
        int next = 0;
        for (int i = 0; i < others.Length; i++)
        {
            // The share up to and with this number, in clients.
            while (next < dealt.Count - 1 && i + 0.5 > dealt.Take(next + 1).Sum(part => part.Share) / all * others.Length)
                next++;
            numbers[others[i]] = dealt[next].Value;
        }
        return numbers;
    }
}
