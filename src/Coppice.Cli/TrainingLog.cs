using System.Globalization;
using Coppice.Formats;
using Coppice.Training;

namespace Coppice.Cli;

/// <summary>Tells of a training run as it goes, and keeps every step in a .jsonl file that a resumed run continues.</summary>
sealed class TrainingLog(Session session, IProgress<Tick> ticks, string path, double heldOutBytesPerToken) : IProgress<TrainingProgress>
{
    public string Path { get; } = path;

    public TrainingProgress? Last { get; private set; }

    public void Report(TrainingProgress progress)
    {
        StepResult step = progress.Step;
        if (Last is null)
            KeepLinesBefore(step.Step);
        Last = progress;
        double? bitsPerByte = progress.HeldOutLoss / Math.Log(2) / heldOutBytesPerToken;
        string heldOut = bitsPerByte is { } bits ? string.Create(CultureInfo.InvariantCulture, $", \"heldOutLoss\": {progress.HeldOutLoss:F5}, \"heldOutBitsPerByte\": {bits:F5}") : "";
        File.AppendAllText(Path, string.Create(CultureInfo.InvariantCulture, $"{{\"step\": {step.Step}, \"loss\": {step.Loss:F5}, \"gradientNorm\": {step.GradientNorm:F4}, \"rate\": {step.Rate:E3}{heldOut}}}\n"));
        ticks.Report(new Tick((double)step.Step / progress.Steps, string.Create(CultureInfo.InvariantCulture, $"step {step.Step:N0}/{progress.Steps:N0}  loss {step.Loss:F3}  {progress.TokensPerSecond:N0} tokens/s")));
        if (bitsPerByte is not null)
            session.Say(string.Create(CultureInfo.InvariantCulture, $"step {step.Step:N0}: held out {progress.HeldOutLoss:F3} nats/token, {bitsPerByte:F3} bits/byte"));
    }

    // A run that was killed may have written lines past its last checkpoint; those steps are taken again.
    void KeepLinesBefore(int step)
    {
        if (File.Exists(Path))
            AtomicFile.WriteText(Path, string.Concat(File.ReadLines(Path).Take(step - 1).Select(line => line + "\n")));
    }
}
