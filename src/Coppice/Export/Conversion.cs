using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Export;

/// <summary>
/// Writes a model in another format, tensor by tensor, with memory for the largest, and then compares what was written with what was read. An interrupted run goes on
/// where it stopped and ends with the same bytes.
/// </summary>
public sealed class Conversion(ConversionOptions options, WorkerPool pool)
{
    /// <summary>Converts.</summary>
    /// <param name="path">A Hugging Face folder, a .gguf, or llama2.c's .bin beside its tokenizer.</param>
    /// <param name="output">The folder or file.</param>
    /// <param name="progress">Told after every tensor.</param>
    /// <param name="cancel">Stops between tensors; what is done is kept in <c>OUT.journal</c>.</param>
    /// <exception cref="CoppiceException">The format has no place for the model, or none for a matrix as it is; nothing is written then.</exception>
    public ConversionReport Run(string path, string output, IProgress<WriteProgress>? progress = null, CancellationToken cancel = default)
    {
        ConversionTarget target = ConversionTarget.Of(options);
        Staging staging = new(output, target.IsFolder);
        using ConversionSource source = new(path);
        Refusal refusal = new(options.Requantizing);
        try
        {
            int resumed;
            ImmutableArray<string> files, leftOut;
            using (WriteJournal journal = staging.Open(source.Signature(options)))
            {
                resumed = journal.Resumed;
                WritingOptions writing = new() { Pool = pool, Journal = journal, Progress = progress, Cancel = cancel, ShardBytes = options.ShardBytes };
                (files, leftOut) = target.Write(source, staging.Built, Path.GetFileNameWithoutExtension(output), writing, refusal);
            }
            List<ConvertedTensor> tensors = [];
            foreach (ConvertedTensor tensor in target.Compare(source, staging.Built, refusal, pool))
            {
                cancel.ThrowIfCancellationRequested();
                tensors.Add(tensor);
            }
            long bytes = Directory.Exists(staging.Built) ? new DirectoryInfo(staging.Built).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length) : new FileInfo(staging.Built).Length;
            staging.Publish();
            return new ConversionReport([.. tensors], files, leftOut, resumed, bytes);
        }
        catch (Exception error) when (error is not OperationCanceledException && error.InnerException is not IOException)
        {
            staging.Discard();
            // What was built is where nobody looks.
            if (error is CoppiceException && error.Message.StartsWith(staging.Built, StringComparison.Ordinal))
                throw new CoppiceException(output + error.Message[staging.Built.Length..], error);
            throw;
        }
    }
}
