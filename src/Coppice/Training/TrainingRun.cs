using System.Diagnostics;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Training;

/// <summary>Where a run stands: the step's result, tokens a second since the run was (re)started, seconds left at that rate, and held-out nats a token where they were just measured.</summary>
public sealed record TrainingProgress(StepResult Step, int Steps, double TokensPerSecond, double SecondsLeft, double? HeldOutLoss);

/// <summary>Trains to the end, keeping checkpoints. Stopped at any moment and called again, it ends with the bytes of an undisturbed run.</summary>
public static class TrainingRun
{
    /// <summary>Trains <paramref name="model"/> in place. A checkpoint at <paramref name="checkpoint"/> (null: none is kept) is gone on from; on cancellation the state is saved there first.</summary>
    /// <param name="heldOut">Windows measured every <see cref="TrainingOptions.ValidateEvery"/> steps; null measures none.</param>
    /// <param name="teacher">A model whose outputs count as <see cref="TrainingOptions.Distillation"/> says; null has the text alone count.</param>
    /// <exception cref="OperationCanceledException">Cancelled; with a checkpoint, nothing is lost.</exception>
    /// <exception cref="CoppiceException">The loss is not finite, or the checkpoint is of another run.</exception>
    public static void Train(Model model, TokenWindows windows, TokenWindows? heldOut, TrainingOptions options, WorkerPool pool, string? checkpoint,
        IProgress<TrainingProgress>? progress = null, Model? teacher = null, CancellationToken cancel = default)
    {
        Trainer trainer = new(model, windows, options, pool, teacher);
        Optimizer optimizer = trainer.Optimizer;
        string signature = TrainingCheckpoint.Signature(optimizer, windows, options, [.. Lora.Adapted(model).Count > 0 ? [model] : Array.Empty<Model>(), .. teacher is null ? [] : new[] { teacher }]);
        if (checkpoint is not null && File.Exists(checkpoint))
            TrainingCheckpoint.Restore(checkpoint, trainer, signature);
        int first = optimizer.StepsTaken;
        long started = Stopwatch.GetTimestamp();
        while (optimizer.StepsTaken < options.Steps)
        {
            if (cancel.IsCancellationRequested)
            {
                Save();
                cancel.ThrowIfCancellationRequested();
            }
            StepResult result = trainer.Step();
            bool last = result.Step == options.Steps;
            double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            double rate = (result.Step - first) * (double)options.TokensPerStep / seconds;
            bool measures = heldOut is not null && (last || options.ValidateEvery > 0 && result.Step % options.ValidateEvery == 0);
            progress?.Report(new TrainingProgress(result, options.Steps, rate, (options.Steps - result.Step) * (double)options.TokensPerStep / rate, measures ? trainer.Measure(heldOut!) : null));
            // After the report: a run that is killed between the two reports the step again, and never leaves it out.
            if (options.CheckpointEvery > 0 && result.Step % options.CheckpointEvery == 0 && !last)
                Save();
        }
        trainer.Finish();

        void Save()
        {
            if (checkpoint is not null)
                TrainingCheckpoint.Save(checkpoint, trainer, signature);
        }
    }
}
