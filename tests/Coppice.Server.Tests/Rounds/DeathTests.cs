using Coppice.Server.Store;
using Coppice.Server.Tests.Servers;

namespace Coppice.Server.Tests.Rounds;

public sealed class DeathTests
{
    const int Seeds = 200;

    [Fact]
    public void Dead_at_any_transaction_it_ends_with_the_same_bytes()
    {
        using Deaths deaths = new();
        deaths.Run(Seeds, _ => (null, null));
    }

    [PostgresFact]
    public void On_PostgreSQL_with_connections_that_are_lost_in_the_middle_it_ends_with_the_same_bytes()
    {
        int cuts = 0, retries = 0;
        using Deaths deaths = new();
        deaths.Run(Seeds, seed =>
        {
            PostgresSchema schema = new();
            Random random = new(1000 + seed);
            CuttingProxy proxy = new([PostgresSchema.Server], _ => random.Next(600) switch { 0 => Cut.Before, 1 => Cut.After, _ => Cut.None });
            PostgresRunStore store = new(schema.Through(proxy.Port), new Random(seed), durability: Durability.Process);
            return (store, new Closing(() =>
            {
                Interlocked.Add(ref cuts, proxy.Cuts);
                Interlocked.Add(ref retries, store.Retries);
                proxy.Dispose();
                schema.Dispose();
            }));
        });
        Assert.True(cuts > Seeds && retries > Seeds, $"{cuts} connections cut, {retries} transactions done again in {Seeds} runs");
    }

    sealed class Closing(Action close) : IDisposable
    {
        public void Dispose() => close();
    }
}
