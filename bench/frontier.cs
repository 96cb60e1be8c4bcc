#:project Grove/Grove.csproj
#:property PublishAot=false
// GGUF files of the default model from here and from llama.cpp's own quantizer, both with the type of each tensor that llama.cpp chooses, so of the same size: docs/results/grove-frontier.md.
//   LLAMA_CPP=FOLDER dotnet run -c Release bench/frontier.cs > docs/results/grove-frontier.md
// FOLDER holds llama-quantize and llama-perplexity. Arguments leave only the types that they name; HEAD=TYPE gives the head, in both, another type than llama.cpp would.
using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;
using Coppice.Weights.Blocks;
using static Coppice.Bench.Grove;

const int CalibrationTokens = 32768, TestDocuments = 1000;
string[] types = ["IQ2_XS", "IQ2_M", "Q2_K_S", "IQ3_XXS", "Q2_K", "Q3_K_S", "IQ3_M", "Q3_K_M", "Q3_K_L", "IQ4_XS", "IQ4_NL", "Q4_0", "Q4_K_S", "Q4_K_M", "Q4_1", "Q5_0", "Q5_K_S", "Q5_K_M", "Q5_1"];
// llama.cpp rounds what enters these to bytes in groups of 32, as is done here; before blocks of 256 in groups of 256.
string[] alike = ["IQ4_NL", "Q4_0", "Q4_1", "Q5_0", "Q5_1"];
int[] seeds = [1, 2, 3];
string tools = Environment.GetEnvironmentVariable("LLAMA_CPP") ?? throw new InvalidOperationException("LLAMA_CPP is not set: the folder of llama-quantize and llama-perplexity");
string[] head = Environment.GetEnvironmentVariable("HEAD") is { } headType ? ["--token-embedding-type", headType, "--output-tensor-type", headType] : [];
string folder = Directory.CreateTempSubdirectory("frontier-").FullName;
using Grove grove = new(0);
int context = grove.Base.Model.ContextLength;

Corpus test = Corpus.Open("sdk:test");
string text = At("text.txt"), plain = At("f16.gguf"), logits = At("base.kld");
File.WriteAllText(text, string.Join("\n", test.Documents.Take(TestDocuments).Select(document => document.Text)));
grove.Base.SaveGguf(plain);
Tool("llama-perplexity", "-m", plain, "-f", text, "-c", context.ToString(CultureInfo.InvariantCulture), "--kl-divergence-base", logits);
// Windows of the whole context every half of it score what llama.cpp's tool scores: their second halves.
EvaluationText same = EvaluationText.Create(new Corpus("sdk:test, first documents as one text", [new Document("sdk:test", File.ReadAllText(text))]), grove.Base.Tokenizer, Protocol.Strided(context, context / 2));
ImmutableArray<string> matrices = [.. seeds.Select(seed => At($"imatrix-{seed}.gguf"))];
foreach ((int seed, string path) in seeds.Zip(matrices))
    ImportanceCollection.Gather((DecoderModel)Read().Model, grove.Calibration(CalibrationTokens, seed), "sdk:train", grove.Pool).Write(path);

Title("Files of the same size, from here and from llama.cpp", "frontier.cs");
Print($"llama.cpp {Version()}. Both read the same importance: sums over the same {CalibrationTokens:N0} tokens of `sdk:train`, drawn anew for each of seeds {string.Join(", ", seeds)}. KL is llama.cpp's own figure (`llama-perplexity --kl-divergence`, {context} tokens, the first {TestDocuments:N0} documents of `sdk:test` as one text), in nats a token: the mean over seeds, ± their standard deviation; llama.cpp's own error of one run is about 1 %. *Ours, measured here* is `coppice`'s KL of the first seed's file on windows that score the same places, with float inputs, and *with inputs in bytes*, as llama.cpp multiplies, where both round them alike (groups of 32): there the two judges are to agree within 5 %.\n");
Print($"| type | bytes | llama.cpp, KL | ours, KL | ours / llama.cpp | top-1, llama.cpp | top-1, ours | ours, measured here | with inputs in bytes |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
List<(long Bytes, string Type, double Theirs, double Ours)> points = [];
foreach (string type in types.Where(type => args.Length == 0 || args.Contains(type)))
{
    List<Judged> theirs = [], ours = [];
    double here = 0;
    string inBytes = "";
    long bytes = 0;
    foreach ((int seed, string importance) in seeds.Zip(matrices))
    {
        string peer = At("peer.gguf"), own = At("own.gguf");
        Tool("llama-quantize", [.. head, "--imatrix", importance, plain, peer, type, "2"]);
        theirs.Add(Judge(peer));
        bytes = new FileInfo(peer).Length;
        CompressionReport report = grove.Compress(SameTypes(peer), grove.Calibration(CalibrationTokens, seed), seed);
        (grove.Base with { Model = report.Model }).SaveGguf(own);
        ours.Add(Judge(own));
        if (Math.Abs(new FileInfo(own).Length - bytes) > 4096)
            throw new InvalidOperationException($"{type}: {new FileInfo(own).Length} bytes from here, {bytes} from llama.cpp");
        if (seed != seeds[0])
            continue;
        here = Comparison.Measure(grove.Base.Model, report.Model, same, grove.Pool).Kl.Value;
        if (alike.Contains(type))
        {
            double bytewise = Comparison.Measure(grove.Base.Model, report.Model, same, grove.Pool, new EvaluationOptions { Activations = ActivationFormat.Int8 }).Kl.Value;
            inBytes = string.Create(CultureInfo.InvariantCulture, $"{bytewise:F5}, {bytewise / ours[0].Kl - 1:+0.0%;-0.0%} of llama.cpp's {ours[0].Kl:F5}");
        }
    }
    double kl = theirs.Average(run => run.Kl), top = theirs.Average(run => run.Top1);
    points.Add((bytes, type, kl, ours.Average(run => run.Kl)));
    Print($"| {type} | {bytes:N0} | {kl:F5} ± {Spread([.. theirs.Select(run => run.Kl)]):F5} | {ours.Average(run => run.Kl):F5} ± {Spread([.. ours.Select(run => run.Kl)]):F5} | {ours.Average(run => run.Kl) / kl:F2} | {top:F1} % | {ours.Average(run => run.Top1):F1} % | {here:F5} | {inBytes} |");
}
(long Bytes, string Type, double Theirs, double Ours)[] bySize = [.. points.OrderBy(point => point.Bytes)];
string Join(IEnumerable<string> parts) => string.Join(", ", parts);
Print($"\nKL by size, llama.cpp above, ours below:\n\n```mermaid\nxychart-beta\n    title \"KL in thousandths of a nat a token, files by rising size\"\n    x-axis [{Join(bySize.Select(point => $"\"{point.Type}\""))}]\n    y-axis \"KL x 1000\"\n    line [{Join(bySize.Select(point => (1000 * point.Theirs).ToString("F2", CultureInfo.InvariantCulture)))}]\n    line [{Join(bySize.Select(point => (1000 * point.Ours).ToString("F2", CultureInfo.InvariantCulture)))}]\n```");
Directory.Delete(folder, recursive: true);

string At(string name) => Path.Combine(folder, name);

// A recipe that gives each matrix the type that it has in a file.
static Recipe SameTypes(string path)
{
    LanguageModel peer = LanguageModel.Load(path);
    return new Recipe("frontier", [.. peer.Model.Matrices().Where(matrix => matrix.Layer.Weight is BlockWeight).GroupBy(matrix => ((BlockWeight)matrix.Layer.Weight).Format)
        .Select(group => new GgufBlock { Type = group.Key, Rounding = BlockRounding.Gptq, Targets = [.. group.Select(matrix => matrix.Name)] })]);
}

Judged Judge(string path)
{
    // Its last lines come from a thread that it does not always wait for.
    for (int attempt = 0; attempt < 10; attempt++)
    {
        string output = Tool("llama-perplexity", "-m", path, "--kl-divergence", "--kl-divergence-base", logits);
        if (Regex.Match(output, @"Mean\s+KLD:\s+([\d.]+)") is { Success: true } kl && Regex.Match(output, @"Same top p:\s+([\d.]+)") is { Success: true } top)
            return new Judged(double.Parse(kl.Groups[1].Value, CultureInfo.InvariantCulture), double.Parse(top.Groups[1].Value, CultureInfo.InvariantCulture));
    }
    throw new InvalidOperationException($"llama-perplexity says nothing of {path}");
}

string Version() => Regex.Match(Tool("llama-perplexity", "--version"), @"version:\s*(.*)").Groups[1].Value;

string Tool(string name, params string[] arguments)
{
    using Process process = Process.Start(new ProcessStartInfo(Path.Combine(tools, name), arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
    Task<string> errors = process.StandardError.ReadToEndAsync();
    string output = process.StandardOutput.ReadToEnd() + errors.Result;
    process.WaitForExit();
    return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{name} {string.Join(' ', arguments)} ended with {process.ExitCode}: {output}");
}

/// <summary>What llama.cpp's tool says of a file: nats a token, and the share of first choices that stay, in per cent.</summary>
sealed record Judged(double Kl, double Top1);
