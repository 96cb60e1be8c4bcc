using Coppice.Federation.Remote;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Remote;

public class BackoffTests
{
    [Fact]
    public async Task The_last_try_is_when_patience_ends()
    {
        Hurried time = new();
        Backoff backoff = new(new RemoteOptions { Patience = TimeSpan.FromSeconds(3) }, new Random(1), time);
        List<double> tries = [];
        CoppiceException error = await Assert.ThrowsAsync<CoppiceException>(() => backoff.Run<int>(() =>
        {
            tries.Add(time.Elapsed.TotalSeconds);
            throw new HttpRequestException("refused");
        }, (_, _) => { }, default));
        Assert.Equal("the server was out of reach for 3 seconds: refused", error.Message);
        Assert.InRange(tries.Count, 4, 5);
        Assert.InRange(tries[^1], 3, 3.001);
    }

    /// <summary>A time in which whoever waits is woken at once, when that long has passed.</summary>
    sealed class Hurried : TimeProvider
    {
        public TimeSpan Elapsed { get; private set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Elapsed.Ticks;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Elapsed += dueTime;
            return System.CreateTimer(callback, state, TimeSpan.Zero, period);
        }
    }
}
