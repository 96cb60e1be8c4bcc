using System.CommandLine;
using Coppice.Formats;
using Coppice.Server.Certificates;
using Coppice.Server.Store;

namespace Coppice.Cli;

/// <summary>coppice federate init: a run's certificate authority, its server's certificate, and its clients.</summary>
static class FederateInitCommand
{
    public static readonly Argument<string> Folder = new("dir") { Description = "The folder of the run" };

    static readonly Option<string[]> Hosts = Several("--host", "NAME", "Names and addresses by which clients reach the server; issues its certificate");
    static readonly Option<string[]> Clients = Several("--client", "NAME", "Enrols clients: issues a certificate for each, in a file that holds all it needs");
    static readonly Option<string[]> Revoked = Several("--revoke", "NAME", "Shuts clients out from now on");

    public static Command Create()
    {
        Command init = new("init", "Makes the certificates of a federated run, enrols its clients and revokes them; also while it is served") { Folder, Hosts, Clients, Revoked, FederateStorage.Store };
        init.SetAction(parsed => Run(parsed));
        return init;
    }

    static int Run(ParseResult parsed)
    {
        using Session session = new(parsed);
        string folder = parsed.GetRequiredValue(Folder);
        string[] hosts = parsed.GetValue(Hosts) ?? [], clients = parsed.GetValue(Clients) ?? [], revoked = parsed.GetValue(Revoked) ?? [];
        if (hosts.Length + clients.Length + revoked.Length == 0)
            throw new MisuseException("federate init: nothing to do; wanted --host, --client or --revoke");
        foreach (string client in clients)
            Authority.CheckName(client);
        bool made = !Authority.IsIn(folder);
        if (made && hosts.Length == 0)
            throw new MisuseException($"{folder}: holds no federated run yet; wanted --host with the name by which clients reach the server");
        PrivateFolder.Create(folder);
        using IRunStore store = FederateStorage.OpenStore(parsed, folder);
        DateTimeOffset now = store.Clock.GetUtcNow();
        using Authority authority = made ? Authority.Create(folder, now) : Authority.Open(folder);
        if (hosts.Length > 0)
        {
            authority.IssueServer(hosts, now);
            session.Say($"{(made ? "made an authority, and " : "")}issued the server's certificate for {string.Join(", ", hosts)}");
        }
        List<string> files = [];
        foreach (string client in clients)
        {
            (string path, string thumbprint) = authority.IssueClient(client, now);
            store.Enrol(client, thumbprint, now);
            files.Add(path);
            session.Say($"enrolled {client}: give it {path}, over a way that nobody else reads");
        }
        foreach (string client in revoked)
        {
            store.Revoke(client, now);
            session.Say($"revoked {client}");
        }
        session.Document(json =>
        {
            json.WriteStartArray("certificates");
            files.ForEach(json.WriteStringValue);
            json.WriteEndArray();
        });
        return ExitCode.Done;
    }

    static Option<string[]> Several(string name, string help, string description) => new(name) { Description = description, HelpName = help, AllowMultipleArgumentsPerToken = true };
}
