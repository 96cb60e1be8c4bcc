#:project Grove/Grove.csproj
#:property PublishAot=false
// What each quantization method costs the default model at 8 to 1 bits: the tables of docs/results/grove-quantization.md. Linux.
//   dotnet run -c Release bench/quantization.cs > docs/results/grove-quantization.md
//   dotnet run -c Release bench/quantization.cs -- GPTQ "to nearest" 4     only rows of these names and widths
//   dotnet run -c Release bench/quantization.cs -- speed [names] [widths]    the second table alone, on a machine that does nothing else
using System.Globalization;
using Coppice.Bench;
using Coppice.Evaluation;
using Coppice.Weights.Blocks;
using static Coppice.Bench.Grove;

const int CalibrationTokens = 8192, TestDocuments = 200;
int[] seeds = [1, 2, 3];
// B is the width. Those that a grid prescribes stand alone.
int[] widths = [8, 6, 5, 4, 3, 2], four = [4], eight = [8], two = [2], one = [1];
(string Name, string Steps, int[] Widths)[] methods =
[
    ("to nearest", "roundToNearest: { bits: B, groupSize: 32 }", widths),
    ("to nearest, range searched", "roundToNearest: { bits: B, groupSize: 32, range: squaredError }", widths),
    ("to nearest, asymmetric", "roundToNearest: { bits: B, groupSize: 32, symmetric: false }", widths),
    ("to nearest, a scale a row", "roundToNearest: { bits: B, groupSize: -1 }", widths),
    ("to nearest, a scale a matrix", "roundToNearest: { bits: B, groupSize: tensor }", widths),
    ("to nearest, a scale a matrix, percentile", "roundToNearest: { bits: B, groupSize: tensor, range: percentile }", widths),
    ("to nearest, a scale a matrix, entropy", "roundToNearest: { bits: B, groupSize: tensor, range: kl }", widths),
    ("HQQ", "hqq: { bits: B, groupSize: 32 }", widths),
    ("GPTQ", "gptq: { bits: B, groupSize: 32 }", widths),
    ("GPTQ, static groups", "gptq: { bits: B, groupSize: 32, order: staticGroups }", widths),
    ("GPTQ, asymmetric", "gptq: { bits: B, groupSize: 32, symmetric: false }", widths),
    ("AWQ, asymmetric", "awq: { bits: B, groupSize: 32 }|roundToNearest: { bits: B, groupSize: 32, symmetric: false }", widths),
    ("AWQ, GPTQ, asymmetric", "awq: { bits: B, groupSize: 32 }|gptq: { bits: B, groupSize: 32, symmetric: false }", widths),
    ("SmoothQuant, to nearest", "smoothQuant: { }|roundToNearest: { bits: B, groupSize: 32 }", widths),
    ("non-uniform", "roundToNearest: { grid: nonUniform, bits: B, groupSize: 32 }", widths),
    ("non-uniform, GPTQ", "gptq: { grid: nonUniform, bits: B, groupSize: 32 }", widths),
    ("powers of two", "roundToNearest: { grid: powerOfTwo, bits: B, groupSize: 32, range: squaredError }", widths),
    ("powers of two, GPTQ", "gptq: { grid: powerOfTwo, bits: B, groupSize: 32 }", widths),
    ("Haar wavelets", "haar: { bits: B, groupSize: 32 }", widths),
    ("llama.cpp's blocks", "ggufBlock: { type: B }", widths),
    ("llama.cpp's blocks, weighted", "ggufBlock: { type: B, rounding: weighted }", widths),
    ("llama.cpp's blocks, GPTQ", "ggufBlock: { type: B, rounding: gptq }", widths),
    ("FP8 e4m3", "roundToNearest: { grid: fp8-e4m3, groupSize: -1 }", eight),
    ("FP8 e5m2", "roundToNearest: { grid: fp8-e5m2, groupSize: -1 }", eight),
    ("NF4", "roundToNearest: { grid: nf4, groupSize: 64 }", four),
    ("NF4, GPTQ", "gptq: { grid: nf4, groupSize: 64 }", four),
    ("FP4", "roundToNearest: { grid: fp4, groupSize: 32, range: squaredError }", four),
    ("FP4, GPTQ", "gptq: { grid: fp4, groupSize: 32 }", four),
    ("MXFP4", "roundToNearest: { grid: mxfp4 }", four),
    ("MXFP4, GPTQ", "gptq: { grid: mxfp4 }", four),
    ("ternary", "roundToNearest: { grid: ternary, groupSize: 32, range: squaredError }", two),
    ("ternary, GPTQ", "gptq: { grid: ternary, groupSize: 32 }", two),
    ("binary", "roundToNearest: { grid: binary, groupSize: 32 }", one),
    ("binary, GPTQ", "gptq: { grid: binary, groupSize: 32 }", one),
];
(string Header, Func<Trial, FormattableString> Cell)[] columns =
[
    ("bits/weight", trial => $"{trial.BitsPerWeight:F2}"),
    ("KL", trial => $"{trial.Kl:F5}{trial.KlSpreadText}"),
    ("bits/byte", trial => $"{trial.BitsPerByte:F4}"),
    ("top-1", trial => $"{trial.Top1:P1}"),
    ("output error", trial => $"{trial.OutputError:F5}"),
    ("bytes", trial => $"{trial.Written.Model.ByteCount:N0}"),
    ("memory", trial => $"{trial.PeakBytes / 1e6:F0}"),
];
(string Header, Func<Trial, FormattableString> Cell)[] timed =
[
    ("bits/weight", trial => $"{trial.BitsPerWeight:F2}"),
    ("tokens/s, against the base", trial => Speed(trial)),
    ("seconds", trial => $"{trial.Seconds:F1}"),
];
// One method for each storage, and those whose work takes another time.
string[] representative = ["to nearest", "to nearest, asymmetric", "to nearest, a scale a row", "HQQ", "GPTQ", "AWQ, asymmetric", "non-uniform", "powers of two", "Haar wavelets", "llama.cpp's blocks", "llama.cpp's blocks, GPTQ", "FP8 e4m3", "NF4", "FP4", "MXFP4", "ternary", "binary"];

bool isTimed = args.Contains("speed");
HashSet<int> onlyWidths = [.. args.Select(word => int.TryParse(word, out int width) ? width : 0).Where(width => width > 0)];
HashSet<string> onlyNames = [.. args.Where(word => word != "speed" && !int.TryParse(word, out _))];
using Grove grove = new(TestDocuments);
if (!isTimed)
{
    Title("What quantization costs the default model", "quantization.cs");
    Print($"Base: `{grove.Base.Source}`, {grove.Base.Model.ParameterCount:N0} parameters, {grove.Base.Model.ByteCount:N0} bytes. The blocks' matrices are rounded; the table of tokens stays in 16 bits. Groups of 32 but where a row says otherwise. Calibrated on {CalibrationTokens:N0} tokens of `sdk:train`, measured on {grove.Text.ScoredTokens:N0} tokens of the first {grove.Text.Documents.Count} documents of `sdk:test`. KL is the mean over calibration seeds {string.Join(", ", seeds)} ± their standard deviation, in nats a token (methods that look at no text have none); the others are means. *Bits a weight* are those of the rounded matrices, scales and tables included; *output error* is the mean over them of ||Wx - Qx||^2 / ||Wx||^2. *Bytes* are of the whole model as it is written, *memory* the most that the work took beyond what the process held before, in MB, with the pass over the calibration text that tells the output error.\n");
    Table(columns, seeds);
}
if (isTimed || onlyNames.Count + onlyWidths.Count == 0)
{
    if (onlyNames.Count == 0)
        onlyNames = [.. representative];
    Print($"\n## Speed\n\n*Tokens/s* are of greedy generation, and then the share of the base's in turns with it, *seconds* the work's, with the pass over the calibration text. {SystemInfo.Current()}.\n");
    Table(timed, seeds[..1]);
}

static FormattableString Speed(Trial trial)
{
    (double tokens, double ratio) = trial.Speed;
    return $"{tokens:N0}, {ratio:F2}";
}

void Table((string Header, Func<Trial, FormattableString> Cell)[] shown, int[] drawn)
{
    Print($"| method | bits | {string.Join(" | ", shown.Select(column => column.Header))} |");
    Print($"| --- | {string.Concat(Enumerable.Repeat("---: | ", shown.Length + 1)).TrimEnd()}");
    foreach ((string name, string steps, int[] all) in methods.Where(method => onlyNames.Count == 0 || onlyNames.Contains(method.Name)))
        foreach (int width in all.Where(width => onlyWidths.Count == 0 || onlyWidths.Contains(width)))
        {
            string options = steps.Replace("bits: B", $"bits: {width}", StringComparison.Ordinal).Replace("type: B", $"type: {(width == 8 ? "q8_0" : $"q{width}_k")}", StringComparison.Ordinal);
            Trial trial = new(grove, Recipe(options), CalibrationTokens, drawn);
            Print($"| {name} | {width} | {string.Join(" | ", shown.Select(column => column.Cell(trial).ToString(CultureInfo.InvariantCulture)))} |");
        }
}
