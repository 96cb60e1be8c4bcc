using System.Reflection;
using Coppice.Server.Store;
using Coppice.Server.Tests.Servers;
using Coppice.Tensors;
using Npgsql;

namespace Coppice.Server.Tests.Store;

public sealed class PostgresRunStoreTests
{
    static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public static TheoryData<string> Contract => [.. typeof(RunStoreContract).GetMethods().Where(method => method.GetCustomAttribute<FactAttribute>() is not null).Select(method => method.Name)];

    [PostgresTheory, MemberData(nameof(Contract))]
    public void Keeps_to_the_contract(string test)
    {
        using PostgresSchema schema = new();
        typeof(RunStoreContract).GetMethod(test)!.Invoke(new Stores(schema), BindingFlags.DoNotWrapExceptions, null, null, null);
    }

    [PostgresFact]
    public void Many_that_begin_at_once_make_the_tables_and_the_run_once()
    {
        using PostgresSchema schema = new();
        RunRow[] runs = new RunRow[8];
        Parallel.For(0, runs.Length, new ParallelOptions { MaxDegreeOfParallelism = runs.Length }, i =>
        {
            using PostgresRunStore store = Open(schema.Settings, i);
            store.Enrol("anna", "thumb", Start);
            // Whoever is first decides which run it is, and all others are told.
            runs[i] = store.OpenRun($"signature{i}", "{}", "model", new NewRound(1, ["anna"], Start), Start);
        });
        Assert.Single(runs.Distinct());
        using PostgresRunStore last = Open(schema.Settings);
        Assert.Single(last.Rounds(runs[0].Id));
    }

    [PostgresFact]
    public void Those_who_meet_are_done_again_until_all_are_through()
    {
        const int Clients = 6, Times = 20;
        using PostgresSchema schema = new();
        using PostgresRunStore store = Open(schema.Settings);
        string[] names = [.. Enumerable.Range(0, Clients).Select(i => $"c{i}")];
        foreach (string name in names)
            store.Enrol(name, "thumb", Start);
        RunRow run = store.OpenRun("signature", "{}", "model", new NewRound(1, names, Start.AddHours(1)), Start);
        Parallel.For(0, Clients, new ParallelOptions { MaxDegreeOfParallelism = Clients }, i =>
        {
            using PostgresRunStore own = Open(schema.Settings, i);
            for (int time = 0; time < Times; time++)
                own.Sent(own.Take(run.Id, names[i], Start.AddMinutes(time))!.Id, 5);
        });
        Assert.All(store.Answers(store.Rounds(run.Id)[0].Id), answer => Assert.Equal((Times, 5L * Times), (answer.Assignment.Epoch, answer.Assignment.BytesDown)));
    }

    [PostgresFact]
    public void A_connection_that_the_server_ends_is_one_that_is_opened_anew()
    {
        using PostgresSchema schema = new();
        using PostgresRunStore store = Open(new NpgsqlConnectionStringBuilder(schema.Settings) { ApplicationName = "ended" }.ToString());
        store.Enrol("anna", "thumb", Start);
        PostgresSchema.Execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ended'");
        store.Log("client", "still there", Start);
        Assert.Equal("still there", store.Events(1)[0].Text);
        Assert.InRange(store.Retries, 1, 10);
    }

    [PostgresTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_commit_that_is_cut_off_is_told_as_it_ended_and_done_once(bool before)
    {
        using PostgresSchema schema = new();
        int commits = 0;
        using CuttingProxy proxy = new([PostgresSchema.Server], message => message.IndexOf("COMMIT"u8) >= 0 && ++commits % 2 == 0 ? before ? Cut.Before : Cut.After : Cut.None);
        using PostgresRunStore store = Open(schema.Through(proxy.Port));
        string[] names = ["a", "b", "c"];
        foreach (string name in names)
            store.Enrol(name, "thumb", Start);
        RunRow run = store.OpenRun("signature", "{}", "model", new NewRound(1, names, Start.AddHours(1)), Start);
        long round = store.Rounds(run.Id)[0].Id;
        AssignmentRow[] asked = [.. store.Answers(round).Select(answer => answer.Assignment)];
        RoundRule rule = new(2, 1, TimeSpan.FromMinutes(1));
        for (int time = 1; time <= 4; time++)
            store.Sent(asked[0].Id, 10);
        Assert.Equal(40, store.FindAssignment(asked[0].Id)!.BytesDown);
        Assert.Equal((CommitOutcome.Committed, RoundStep.None), store.Commit(asked[0].Id, new UpdateRow("x", 7, 1, 1, 1, 1), rule, Start));
        Assert.Equal((CommitOutcome.Committed, RoundStep.Closing), store.Commit(asked[1].Id, new UpdateRow("y", 7, 1, 1, 1, 1), rule, Start));
        Assert.True(store.CloseRound(round, "next", new NewRound(2, names, Start.AddHours(2)), Start));
        Assert.Equal(2, store.Rounds(run.Id).Count);
        Assert.Equal(RoundStep.None, store.Refuse(store.Answers(store.Rounds(run.Id)[1].Id)[0].Assignment.Id, "damaged", 3, rule, Start));
        Assert.Equal(["enrolled 'a'", "enrolled 'b'", "enrolled 'c'", "round 1: opened for a, b, c", "round 1: 'a' committed 7 bytes", "round 1: 'b' committed 7 bytes", "round 1: closing with 2 updates",
            "round 1: closed", "round 2: opened for a, b, c", "damaged"], store.Events(100).Select(entry => entry.Text));
        Assert.InRange(proxy.Cuts, 5, commits);
    }

    [PostgresFact]
    public void Its_clock_is_the_database_s()
    {
        using PostgresSchema schema = new();
        using PostgresRunStore store = Open(schema.Settings);
        // The server of the tests is on this machine.
        Assert.InRange((store.Clock.GetUtcNow() - TimeProvider.System.GetUtcNow()).TotalSeconds, -10, 10);
    }

    [Fact]
    public void A_database_that_cannot_be_reached_is_one_line_without_the_password()
    {
        foreach (string settings in new[] { "Host=127.0.0.1;Port=1;Username=anna;Password=secret", "Host=127.0.0.1;Password=secret;Prot=1" })
        {
            string line = Assert.Throws<CoppiceException>(() => new PostgresRunStore(settings, new Random(1), TimeSpan.Zero)).Message;
            Assert.StartsWith("the", line, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', line);
            Assert.DoesNotContain("secret", line, StringComparison.Ordinal);
        }
    }

    static PostgresRunStore Open(string settings, int seed = 1) => new(settings, new Random(seed), durability: Durability.Process);

    sealed class Stores(PostgresSchema schema) : RunStoreContract
    {
        internal override IRunStore Open() => PostgresRunStoreTests.Open(schema.Settings);
    }
}
