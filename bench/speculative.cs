#:project Grove/Grove.csproj
#:property PublishAot=false
// What a compressed draft of the same model gains: tokens a second of processor time on one thread, with
// and without it, in turn, and the share of its guesses that were right.
//   dotnet run -c Release bench/speculative.cs MODEL DRAFT [DRAFT ...]
using System.Globalization;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;

string[] prompts = ["Returns the number of", "Gets or sets the", "Initializes a new instance of the", "The exception that is thrown when", "Converts the value of", "A task that represents"];
const int Tokens = 120, Rounds = 3;
// One thread and its own time, which other programs on the machine disturb least.
using WorkerPool pool = new(1);
LanguageModel target = LanguageModel.Load(args[0]);
int[][] ids = [.. prompts.Select(prompt => target.Tokenizer.BosId is { } bos ? [bos, .. target.Tokenizer.Encode(prompt)] : target.Tokenizer.Encode(prompt).ToArray())];
Console.WriteLine("| draft | drawn | guesses | right | tokens/s | alone | gain |\n| --- | --- | --- | --- | --- | --- | --- |");
foreach (string path in args[1..])
{
    LanguageModel draft = LanguageModel.Load(path);
    foreach (float temperature in new[] { 0f, 0.8f })
        foreach (int guesses in new[] { 2, 4, 8 })
        {
            Generator alone = New(null, temperature), drafted = New(new DraftOptions(draft.Model) { Tokens = guesses }, temperature);
            List<double> slow = [], fast = [];
            for (int round = -1; round < Rounds; round++)
            {
                (double a, double b) = (Rate(alone), Rate(drafted));
                if (round >= 0)
                {
                    slow.Add(a);
                    fast.Add(b);
                }
            }
            (long guessed, long accepted) = drafted.Drafted;
            double before = Median(slow), after = Median(fast);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| {Path.GetFileName(path)} | {(temperature == 0 ? "greedy" : $"at {temperature}")} | {guesses} | {(double)accepted / guessed:P0} | {after:0} | {before:0} | {after / before:0.00}x |"));
        }
}

Generator New(DraftOptions? draft, float temperature) =>
    new(target.Model, new Sampler(target.Model.VocabularySize, new SamplingOptions { Temperature = temperature }, new Random(1)), pool, draft: draft);

// No end token, so that every text has the same length.
double Rate(Generator generator)
{
    double seconds = 0;
    foreach (int[] prompt in ids)
    {
        generator.Reset();
        generator.Prefill(prompt);
        TimeSpan start = Environment.CpuUsage.TotalTime;
        for (int i = 0; i < Tokens && generator.Next(out _); i++)
        {
        }
        seconds += (Environment.CpuUsage.TotalTime - start).TotalSeconds;
    }
    return Tokens * ids.Length / seconds;
}

static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
