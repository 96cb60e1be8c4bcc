using Coppice.Tensors;
using Coppice.Tests.Tensors.Simd;

namespace Coppice.Tests.Tensors;

[Collection(SimdCollection.Name)]
public sealed class WorkerPoolTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_part_runs_once_whether_the_threads_spin_or_sleep(int threads)
    {
        using var pool = new WorkerPool(threads);
        for (int round = 0; round < 300; round++)
        {
            int parts = round % 12;
            var job = new Count { Seen = new int[parts] };
            pool.Run(parts, ref job);
            Assert.All(job.Seen, seen => Assert.Equal(1, seen));
            if (round % 100 == 0)
                Thread.Sleep(5);
        }
    }

    [Fact]
    public void An_exception_from_any_part_reaches_the_caller_and_the_pool_goes_on()
    {
        using var pool = new WorkerPool(3);
        for (int bad = 0; bad < 6; bad++)
        {
            var failing = new Throw { Bad = bad };
            Assert.Equal($"part {bad}", Assert.Throws<InvalidOperationException>(() => pool.Run(6, ref failing)).Message);
        }
        var job = new Count { Seen = new int[6] };
        pool.Run(6, ref job);
        Assert.All(job.Seen, seen => Assert.Equal(1, seen));
    }

    [Fact]
    public void A_job_may_run_a_job()
    {
        using var pool = new WorkerPool(2);
        var job = new Nested { Pool = pool, Seen = new int[8] };
        pool.Run(2, ref job);
        Assert.All(job.Seen, seen => Assert.Equal(1, seen));
    }

    [Fact]
    public void Callers_on_several_threads_do_not_mix()
    {
        using var pool = new WorkerPool(2);
        Parallel.For(0, 4, _ =>
        {
            for (int round = 0; round < 2000; round++)
            {
                var job = new Count { Seen = new int[7] };
                pool.Run(7, ref job);
                Assert.All(job.Seen, seen => Assert.Equal(1, seen));
            }
        });
    }

    [Fact]
    public void Running_a_job_allocates_nothing()
    {
        using var pool = new WorkerPool(2);
        int[] seen = new int[4];
        Allocations.None(() =>
        {
            var job = new Count { Seen = seen };
            pool.Run(4, ref job);
        });
    }

    [Fact]
    public void A_pool_without_threads_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => new WorkerPool(0));

    struct Count : IJob
    {
        public int[] Seen;

        public readonly void Execute(int part) => Interlocked.Increment(ref Seen[part]);
    }

    struct Throw : IJob
    {
        public int Bad;

        public readonly void Execute(int part)
        {
            if (part == Bad)
                throw new InvalidOperationException($"part {part}");
        }
    }

    struct Nested : IJob
    {
        public WorkerPool Pool;
        public int[] Seen;

        public readonly void Execute(int part)
        {
            var inner = new Inner { Seen = Seen, First = part * 4 };
            Pool.Run(4, ref inner);
        }

        struct Inner : IJob
        {
            public int[] Seen;
            public int First;

            public readonly void Execute(int part) => Interlocked.Increment(ref Seen[First + part]);
        }
    }
}
