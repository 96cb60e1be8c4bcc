using Coppice.Server.Store;

namespace Coppice.Server.Tests.Store;

public class DatabaseClockTests
{
    [Fact]
    public void It_is_asked_once_a_minute_and_counted_on_whatever_the_local_clock_says()
    {
        DateTimeOffset database = new(2030, 5, 5, 0, 0, 0, TimeSpan.Zero);
        Stamps local = new();
        int asked = 0;
        DatabaseClock clock = new(() =>
        {
            asked++;
            // The answer takes two seconds, and is that of the middle.
            local.Passed += TimeSpan.FromSeconds(2);
            return database + local.Passed - TimeSpan.FromSeconds(1);
        }, local);
        Agree();
        local.Passed += TimeSpan.FromSeconds(57);
        Agree();
        Assert.Equal(1, asked);
        local.Passed += TimeSpan.FromSeconds(3);
        Agree();
        Assert.Equal(2, asked);

        void Agree()
        {
            DateTimeOffset told = clock.GetUtcNow();
            Assert.Equal(database + local.Passed, told);
        }
    }

    // Counts right, and is at no time that means anything.
    sealed class Stamps : TimeProvider
    {
        public TimeSpan Passed { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Passed.Ticks;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch;
    }
}
