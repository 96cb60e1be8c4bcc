using System.Runtime.ExceptionServices;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>Questions to several clients: one after the other, or where clients are elsewhere all at once.</summary>
static class Exchanges
{
    /// <summary>What each client answers, in the order of channels: bytes, or why there are none.</summary>
    /// <param name="channels">The clients.</param>
    /// <param name="pace">What an answer takes.</param>
    /// <param name="task">What one is asked.</param>
    /// <param name="cancel">Stops it.</param>
    public static IEnumerable<(IClientChannel Channel, ReadOnlyMemory<byte> Answer, string? Fault)> All(IReadOnlyList<IClientChannel> channels, Pace pace, Func<IClientChannel, ReadOnlyMemory<byte>> task, CancellationToken cancel)
    {
        if (channels.Any(channel => channel.IsRemote))
            return AtOnce(channels, pace, [.. channels.Select(task)], cancel);
        return channels.Select(channel =>
        {
            cancel.ThrowIfCancellationRequested();
            (ReadOnlyMemory<byte> answer, string? fault) = One(channel, pace, task(channel), cancel);
            return (channel, answer, fault);
        });
    }

    // A thread each: they do nothing but wait.
    static (IClientChannel, ReadOnlyMemory<byte>, string?)[] AtOnce(IReadOnlyList<IClientChannel> channels, Pace pace, ReadOnlyMemory<byte>[] tasks, CancellationToken cancel)
    {
        (IClientChannel, ReadOnlyMemory<byte>, string?)[] answers = new (IClientChannel, ReadOnlyMemory<byte>, string?)[channels.Count];
        ExceptionDispatchInfo? failure = null;
        Thread[] threads = [.. channels.Select((channel, i) => new Thread(() =>
        {
            try
            {
                (ReadOnlyMemory<byte> answer, string? fault) = One(channel, pace, tasks[i], cancel);
                answers[i] = (channel, answer, fault);
            }
            catch (Exception error)
            {
                // Thrown again where all threads have ended.
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(error), null);
            }
        }, maxStackSize: 1 << 18)
        { IsBackground = true })];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        failure?.Throw();
        return answers;
    }

    static (ReadOnlyMemory<byte>, string?) One(IClientChannel channel, Pace pace, ReadOnlyMemory<byte> task, CancellationToken cancel)
    {
        try
        {
            return (channel.Exchange(task, pace, cancel), null);
        }
        catch (CoppiceException error)
        {
            return (default, error.Message);
        }
    }
}
