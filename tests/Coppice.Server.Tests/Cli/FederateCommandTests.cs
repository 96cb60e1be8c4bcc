using System.Text.Json;
using Coppice.Federation;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tests.Cli;

namespace Coppice.Server.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class FederateCommandTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    [Fact]
    public void Clients_are_enrolled_and_revoked_and_status_says_so()
    {
        string run = tiny["run"];
        Assert.Equal(0, CommandLine.Run("federate", "init", run, "--host", "localhost", "127.0.0.1", "--client", "anna", "--client", "bert").Code);
        Assert.True(File.Exists(Path.Combine(run, "clients", "anna.pem")));
        Assert.Equal(0, CommandLine.Run("federate", "init", run, "--revoke", "bert").Code);
        Outcome status = CommandLine.Run("federate", "status", run);
        Assert.Equal((0, ""), (status.Code, status.Error));
        Assert.Contains("no run was served yet", status.Out, StringComparison.Ordinal);
        Assert.Matches("anna +.* in\n", status.Out);
        Assert.Matches("bert +.* revoked ", status.Out);
        Assert.Contains("'carl'", CommandLine.Run("federate", "init", run, "--revoke", "carl").FailsInOneLine(1), StringComparison.Ordinal);
    }

    [Fact]
    public void Of_a_run_that_one_process_drives_status_says_who_was_there()
    {
        string run = tiny["run"];
        Assert.Equal(0, CommandLine.Run("federate", "init", run, "--host", "localhost", "--client", "anna", "bert").Code);
        using (SqliteRunStore store = new(Path.Combine(run, SqliteRunStore.FileName)))
            store.See("anna", new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
        Outcome status = CommandLine.Run("federate", "status", run);
        Assert.StartsWith("a run that one process drives\n", status.Out, StringComparison.Ordinal);
        Assert.Matches("anna +.* 2026-01-02 03:04:05Z +in\n", status.Out);
    }

    [Fact]
    public void The_folder_of_a_run_is_its_owner_s_alone()
    {
        if (OperatingSystem.IsWindows())
            return;
        Assert.Equal(0, CommandLine.Run("federate", "init", tiny["runs/run"], "--host", "localhost", "--client", "anna").Code);
        _ = new BlobStore(tiny["blobs"]);
        _ = new UploadStore(tiny["uploads"]);
        _ = new RunJournal(tiny["out.federation"]);
        const UnixFileMode own = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        foreach (string name in new[] { "runs/run", "runs/run/clients", "blobs", "uploads", "out.federation", "out.federation/clients" })
            Assert.Equal(own, File.GetUnixFileMode(tiny[name]));

        Directory.CreateDirectory(tiny["open"]);
        UnixFileMode before = File.GetUnixFileMode(tiny["open"]);
        _ = new BlobStore(tiny["open"]);
        Assert.Equal(before, File.GetUnixFileMode(tiny["open"]));
    }

    [Fact]
    public void Who_failed_and_why_is_in_status_and_in_the_round_s_explanation()
    {
        string run = tiny["run"];
        Assert.Equal(0, CommandLine.Run("federate", "init", run, "--host", "localhost", "--client", "anna", "bert").Code);
        using (SqliteRunStore store = new(Path.Combine(run, SqliteRunStore.FileName)))
        {
            DateTimeOffset now = DateTimeOffset.UtcNow;
            RunRow opened = store.OpenRun("signature", "{}", "model", new NewRound(1, ["anna", "bert"], now.AddHours(1)), now);
            store.Fail(store.Take(opened.Id, "bert", now)!.Id, "the client failed: no memory", new RoundRule(2, 1, TimeSpan.FromHours(1)), now);
        }
        Assert.Contains("round 1: bert failed: the client failed: no memory", CommandLine.Run("federate", "status", run).Out, StringComparison.Ordinal);
        Assert.Contains("bert: the client failed: no memory", CommandLine.Run("federate", "explain-round", run, "1").Out, StringComparison.Ordinal);
        JsonElement bert = CommandLine.Json("federate", "explain-round", run, "1").GetProperty("clients")[1];
        Assert.Equal(("failed", "the client failed: no memory"), (bert.GetProperty("state").GetString(), bert.GetProperty("reason").GetString()));
    }

    [Fact]
    public void What_cannot_be_is_one_line()
    {
        string run = tiny["run"];
        Assert.Contains("nothing to do", CommandLine.Run("federate", "init", run).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("--host", CommandLine.Run("federate", "init", run, "--client", "anna").FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("'../x'", CommandLine.Run("federate", "init", run, "--host", "localhost", "--client", "../x").FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("federate init", CommandLine.Run("federate", "status", run).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("federate init", CommandLine.Run("federate", "serve", tiny.Model, "--run", run, "--listen", "127.0.0.1:0", "-o", tiny["out"]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("--listen is '8443'", CommandLine.Run("federate", "serve", tiny.Model, "--run", run, "--listen", "8443", "-o", tiny["out"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("https://", CommandLine.Run("federate", "join", "localhost", "--certificate", "x.pem", "--text", tiny.Text).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("x.pem", CommandLine.Run("federate", "join", "https://localhost:1", "--certificate", tiny["x.pem"], "--text", tiny.Text).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Empty(tiny.Others);
    }

    [Fact]
    public void Roles_and_stores_that_cannot_be_are_one_line_without_passwords()
    {
        string run = tiny["run"];
        string[] serve = ["federate", "serve", tiny.Model, "--run", run];
        Assert.Equal(0, CommandLine.Run("federate", "init", run, "--host", "localhost", "--client", "anna").Code);
        Assert.Contains("wanted --listen", Line("-o", tiny["out"]), StringComparison.Ordinal);
        Assert.Contains("wanted -o", Line("--listen", "127.0.0.1:0"), StringComparison.Ordinal);
        Assert.Contains("has no port", Line("--role", "aggregator", "--listen", "127.0.0.1:0"), StringComparison.Ordinal);
        Assert.Contains("--role is 'boss'", Line("--role", "boss"), StringComparison.Ordinal);
        Assert.Contains("--store: wanted sqlite", Line("--role", "aggregator", "--store", "postgresql://anna:secret@localhost/run"), StringComparison.Ordinal);
        Assert.Contains("--queue: wanted memory", Line("--role", "aggregator", "--queue", "secret.example.org"), StringComparison.Ordinal);
        Assert.Contains("--store: wanted sqlite", CommandLine.Run("federate", "init", run, "--client", "bert", "--store", "secret").FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("Prot", CommandLine.Run("federate", "status", run, "--store", "Host=localhost;Prot=1;Password=secret").FailsInOneLine(1), StringComparison.OrdinalIgnoreCase);

        string Line(params string[] own)
        {
            string line = CommandLine.Run([.. serve, .. own]).FailsInOneLine(2);
            Assert.DoesNotContain("secret", line, StringComparison.Ordinal);
            return line;
        }
    }

    [Fact]
    public void An_address_that_this_machine_does_not_have_is_one_line()
    {
        Assert.Equal(0, CommandLine.Run("federate", "init", tiny["run"], "--host", "localhost", "--client", "anna").Code);
        foreach (string[] way in new string[][] { [], ["--robust", "median"] })
            Assert.Contains("--listen 192.0.2.1:8443: could not be listened on: ", CommandLine.Run(["federate", "serve", tiny.Model, "--run", tiny["run"], "--listen", "192.0.2.1:8443", "--context", "16", "-o", tiny["out"], .. way]).FailsInOneLine(1), StringComparison.Ordinal);
    }

    [Fact]
    public void Serving_without_enough_clients_is_one_line()
    {
        Assert.Equal(0, CommandLine.Run("federate", "init", tiny["run"], "--host", "localhost").Code);
        Assert.Contains("0 clients are enrolled, wanted 1", CommandLine.Run("federate", "serve", tiny.Model, "--run", tiny["run"], "--listen", "127.0.0.1:0", "--context", "16", "-o", tiny["out"]).FailsInOneLine(1), StringComparison.Ordinal);
    }
}
