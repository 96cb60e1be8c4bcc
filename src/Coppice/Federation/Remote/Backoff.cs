using System.Net;
using System.Security.Authentication;
using Coppice.Tensors;

namespace Coppice.Federation.Remote;

/// <summary>Tries again what may work later, each time after a longer wait.</summary>
sealed class Backoff(RemoteOptions options, Random random, TimeProvider time)
{
    /// <summary>Does <paramref name="attempt"/> until it works, is refused for good, or the server was out of reach for too long.</summary>
    public async Task<T> Run<T>(Func<Task<T>> attempt, Action<string, TimeSpan> waiting, CancellationToken cancel)
    {
        long began = time.GetTimestamp();
        for (int failures = 0; ; failures++)
        {
            Exception error;
            TimeSpan? asked = null;
            try
            {
                return await attempt();
            }
            catch (HttpRequestException failed) when (failed.InnerException is AuthenticationException cause)
            {
                throw new CoppiceException($"the server is not trusted: {cause.Message}", failed);
            }
            catch (RemoteException failed) when (failed.IsPassing)
            {
                (error, asked) = (failed, failed.RetryAfter);
            }
            catch (Exception failed) when (failed is HttpRequestException or IOException || failed is OperationCanceledException && !cancel.IsCancellationRequested)
            {
                error = failed;
            }
            string reason = (error as HttpRequestException)?.InnerException?.Message ?? error.Message;
            TimeSpan left = options.Patience - time.GetElapsedTime(began);
            if (left <= TimeSpan.Zero)
                throw new CoppiceException($"the server was out of reach for {options.Patience.TotalSeconds:0} seconds: {reason}", error);
            TimeSpan wait = Jitter(asked ?? options.FirstWait * Math.Pow(2, Math.Min(failures, 20)));
            // The last try is when patience ends, and no more than the millisecond later that delays count in.
            wait = TimeSpan.FromMilliseconds(Math.Ceiling(Math.Min(wait.TotalMilliseconds, left.TotalMilliseconds)));
            waiting(reason, wait);
            await Task.Delay(wait, time, cancel);
        }
    }

    /// <summary>A wait, between a half of it and all of it.</summary>
    public TimeSpan Jitter(TimeSpan wait) => (wait < options.LongestWait ? wait : options.LongestWait) * (0.5 + 0.5 * random.NextDouble());
}
