#:project Grove/Grove.csproj
#:property PublishAot=false
// Federated runs of the default model in processes of their own over loopback TLS, some of them killed: the table of docs/results/grove-federation-processes.md. Takes some minutes.
//   dotnet build -c Release && eval "$(tests/servers/start)" && dotnet run -c Release bench/federation-processes.cs [COPPICE.DLL [one|many]] > docs/results/grove-federation-processes.md
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Coppice.Bench;
using Coppice.Federation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Rounds = 10, Clients = 16, DocumentsEach = 12;
string[] training = ["--rounds", "10", "--local-steps", "1", "--batch", "1", "--context", "32", "--optimizer", "sgd", "--rate", "0.05"];
FederatedOptions options = new() { Rounds = Rounds, LocalSteps = 1 };
options = options with { Training = options.Training with { BatchSize = 1, ContextLength = 32, Optimizer = OptimizerKind.Sgd, LearningRate = 0.05 } };
string postgres = Variable("COPPICE_POSTGRES"), rabbit = Variable("COPPICE_RABBIT"), folder = Directory.CreateTempSubdirectory("federation").FullName;

using Grove grove = new(1);
DecoderModel start = (DecoderModel)grove.Base.Model;
long copy = 4L * start.ParameterCount;
IReadOnlyList<Document> documents = Corpus.Open("sdk:train").Documents;
string[] names = [.. Enumerable.Range(1, Clients).Select(i => $"client-{i:00}")];
Directory.CreateDirectory(Path.Combine(folder, "texts"));
for (int i = 0; i < Clients; i++)
    File.WriteAllText(TextOf(names[i]), string.Join("\n\n", documents.Where((_, at) => at % Clients == i).Take(DocumentsEach).Select(document => document.Text)));

Title("Federated runs in processes of their own", "federation-processes.cs");
Print($"Base: `{grove.Base.Source}`, {start.ParameterCount:N0} numbers: a copy is {copy / 1e6:0.0} MB of float32. {Rounds} rounds of 1 local step (SGD) of 1 x 32 tokens, codec {options.Codec.Name}, all clients asked in each round, each with {DocumentsEach} documents of its own; clients, servers and this program share the machine. A client that is killed for good is revoked after that; all other processes that are killed are started again. Memory is the most that a process held in all its lives (VmHWM, mapped files included) beyond what it held before its first client came (VmRSS), in copies of the model. The simulation asks, in one process, those clients that are in each round's result.\n");
Print($"| run | clients | rounds | seconds | updates in | dropped | kills: clients, servers | coordinator, copies | aggregator, copies | bytes up, MB/s | equals the simulation |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
try
{
    string? only = args.ElementAtOrDefault(1);
    if (only is null or "one")
        Row("one server, SQLite", "one", [], One);
    if (only == "one")
        return;
    string schema = $"bench_{Environment.ProcessId}";
    Psql($"CREATE SCHEMA {schema}");
    Row("2 coordinators, 2 aggregators, PostgreSQL, RabbitMQ", "many", ["--store", $"{postgres};Search Path={schema}"], Many);
    Psql($"DROP SCHEMA {schema} CASCADE");
}
finally
{
    Directory.Delete(folder, recursive: true);
}

void One(Fleet fleet)
{
    fleet.Init(["--host", "localhost", "--client", .. names[..8]]);
    int port = FreePort();
    fleet.Serve("server", [.. Serving("one"), "--listen", $"127.0.0.1:{port}", "-o", fleet["served"]]);
    fleet.Begin();
    foreach (string name in names[..8])
        Join(fleet, name, port);
    fleet.End();
}

// Half of the clients come later, two are killed for good, and everybody else who is killed comes again.
void Many(Fleet fleet)
{
    fleet.Init(["--host", "localhost", "--client", .. names[..8]]);
    int[] ports = [FreePort(), FreePort()];
    string[] shared = [.. Serving("many"), .. fleet.Store, "--queue", rabbit, "--blobs", fleet["shared"]];
    for (int i = 0; i < 2; i++)
    {
        fleet.Serve($"coordinator-{i}", [.. shared, "--role", "coordinator", "--listen", $"127.0.0.1:{ports[i]}", "-o", fleet[i == 0 ? "served" : "served-1"]]);
        fleet.Serve($"aggregator-{i}", [.. shared, "--role", "aggregator"]);
    }
    using OneName name = new(ports);
    fleet.Begin();
    foreach (string client in names[..8])
        Join(fleet, client, name.Port);
    fleet.Reach(1);
    fleet.Restart("coordinator-0");
    fleet.Restart(names[1]);
    Late(names[8..12]);
    fleet.Reach(3);
    fleet.Restart("aggregator-0");
    fleet.Restart(names[8]);
    Late(names[12..]);
    fleet.Reach(5);
    fleet.Restart("coordinator-1");
    Gone(names[4]);
    fleet.Reach(6);
    fleet.Restart("aggregator-1");
    fleet.Restart(names[1]);
    Gone(names[11]);
    fleet.Reach(8);
    fleet.Restart("coordinator-0");
    fleet.Restart("coordinator-1");
    fleet.End();
    if (!Same(fleet["served"], fleet["served-1"]))
        throw new InvalidOperationException("the coordinators wrote different models");

    void Late(string[] clients)
    {
        fleet.Init(["--client", .. clients]);
        foreach (string client in clients)
            Join(fleet, client, name.Port);
    }

    void Gone(string client)
    {
        fleet.Kill(client);
        fleet.Init(["--revoke", client]);
    }
}

string[] Serving(string run) => ["federate", "serve", "grove", "--run", Path.Combine(folder, run), .. training];

void Join(Fleet fleet, string client, int port) =>
    fleet.Join(client, ["federate", "join", $"https://localhost:{port}", "--threads", "1", "--certificate", fleet[$"clients/{client}.pem"], "--text", TextOf(client), "--state", fleet[client]]);

void Row(string title, string name, string[] store, Action<Fleet> run)
{
    using (Fleet fleet = new(Path.Combine(folder, name), store))
    {
        run(fleet);
        JsonElement[] rounds = [.. fleet.Status().GetProperty("rounds").EnumerateArray()];
        HashSet<string>[] survivors = [.. rounds.Select((round, i) => round.GetProperty("clients").EnumerateArray().Select(client => client.GetProperty("name").GetString()!).Where(client => !fleet.Dropped.Contains((i + 1, client))).ToHashSet())];
        long up = rounds.Sum(round => round.GetProperty("clients").EnumerateArray().Sum(client => client.GetProperty("bytesUp").GetInt64()));
        string[] all = [.. survivors.SelectMany(round => round).Distinct().Order(StringComparer.Ordinal)];
        LanguageModel simulated = Read();
        Simulation.Run((DecoderModel)simulated.Model, [.. all.Select(client => new Present(client, Tokens(client), grove.Pool, survivors))], options);
        simulated.Save(fleet["simulated"]);
        Print($"| {title} | {all.Length} | {rounds.Length} | {fleet.Seconds:0} | {survivors.Sum(round => round.Count)} | {fleet.Dropped.Count} | {fleet.Kills(server: false)}, {fleet.Kills(server: true)} | {Copies(fleet.Growth("server") ?? fleet.Growth("coordinator"))} | {Copies(fleet.Growth("aggregator"))} | {up / 1e6 / fleet.Seconds:0.0} | {(Same(fleet["simulated"], fleet["served"]) ? "bit for bit" : "no")} |");
    }
}

string Copies(long? bytes) => bytes is { } grown ? ((double)grown / copy).ToString("0.0", CultureInfo.InvariantCulture) : "";

int[] Tokens(string client) => TokenWindows.Tokenize(grove.Base.Tokenizer, Corpus.Open(TextOf(client)).Documents);

string TextOf(string client) => Path.Combine(folder, "texts", client + ".txt");

static bool Same(string one, string other) => Directory.GetFiles(one).All(file => File.ReadAllBytes(file).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(other, Path.GetFileName(file)))));

static string Variable(string name) => Environment.GetEnvironmentVariable(name) ?? throw new InvalidOperationException($"{name} is not set: eval \"$(tests/servers/start)\"");

void Psql(string statement)
{
    Dictionary<string, string> settings = postgres.Split(';').Select(part => part.Split('=')).ToDictionary(part => part[0], part => part[1]);
    ProcessStartInfo psql = new("psql", ["-q", "-h", settings["Host"], "-p", settings["Port"], "-U", settings["Username"], "-d", settings["Database"], "-c", statement]) { RedirectStandardError = true };
    psql.Environment["PGPASSWORD"] = settings["Password"];
    using Process process = Process.Start(psql)!;
    process.StandardError.ReadToEnd();
    process.WaitForExit();
    if (process.ExitCode != 0)
        throw new InvalidOperationException($"psql: exit code {process.ExitCode} of {statement}");
}

static int FreePort()
{
    using TcpListener listener = new(IPAddress.Loopback, 0);
    listener.Start();
    return ((IPEndPoint)listener.LocalEndpoint).Port;
}

// A client that answers in the rounds whose result it was in.
sealed class Present(string name, int[] tokens, WorkerPool pool, HashSet<string>[] survivors) : IClientChannel
{
    readonly LocalChannel inner = new(new Client(name, tokens, pool));
    int round;

    public string Client => name;

    public ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, CancellationToken cancel) =>
        survivors[round++].Contains(name) ? inner.Exchange(task, cancel) : throw new CoppiceException($"'{name}' was not there");
}

// The processes of one run, and what they say.
sealed partial class Fleet : IDisposable
{
    static readonly string Program = Path.GetFullPath(Environment.GetCommandLineArgs().ElementAtOrDefault(1) ?? "src/Coppice.Cli/bin/Release/net10.0/Coppice.Cli.dll");
    static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    readonly string folder;
    readonly Dictionary<string, Member> members = [];
    readonly Stopwatch watch = new();
    readonly Timer sampling;
    int closed;

    public Fleet(string folder, string[] store)
    {
        (this.folder, Store) = (folder, store);
        sampling = new Timer(_ => Sample(), null, 100, 100);
    }

    public string this[string name] => Path.Combine(folder, name);

    public string[] Store { get; }

    public double Seconds { get; private set; }

    public HashSet<(int Round, string Client)> Dropped { get; } = [];

    public void Init(string[] what) => Run(["federate", "init", folder, .. Store, .. what]);

    public JsonElement Status() => JsonDocument.Parse(Run(["federate", "status", folder, .. Store, "--json", "--quiet"])).RootElement;

    public void Serve(string name, string[] command)
    {
        Member member = Add(name, command, server: true);
        Await(() => member.IsReady, $"{name} does not start");
        Thread.Sleep(500);
        member.Settle();
    }

    public void Join(string name, string[] command) => Add(name, command, server: false);

    public void Begin() => watch.Start();

    public void Reach(int round)
    {
        Await(() => closed >= round, $"round {round} is not closed");
        // Into the middle of the next one.
        Thread.Sleep(700);
    }

    public void Kill(string name) => members[name].Kill();

    public void Restart(string name)
    {
        members[name].Kill();
        members[name].Start();
    }

    public void End()
    {
        Await(() => members.Values.Where(member => member.IsServer).All(member => member.HasExited), "the servers do not end");
        Seconds = watch.Elapsed.TotalSeconds;
        foreach (Member member in members.Values.Where(member => !member.WasKilled))
            Await(() => member.HasExited, "a client does not end");
    }

    public int Kills(bool server) => members.Values.Where(member => member.IsServer == server).Sum(member => member.Kills);

    public long? Growth(string role) => members.Where(member => member.Key.StartsWith(role, StringComparison.Ordinal)).Select(member => (long?)member.Value.Growth).Max();

    public void Dispose()
    {
        sampling.Dispose();
        foreach (Member member in members.Values)
            member.Kill();
    }

    Member Add(string name, string[] command, bool server)
    {
        Member member = new(command, server, Heard);
        lock (members)
            members.Add(name, member);
        member.Start();
        return member;
    }

    void Sample()
    {
        lock (members)
            foreach (Member member in members.Values)
                member.Sample();
    }

    // "round 3: 8 clients ..." and behind it "dropped client-05: was revoked", from any server.
    void Heard(Member member, string line)
    {
        lock (Dropped)
        {
            if (Closed().Match(line) is { Success: true } round)
            {
                member.Round = int.Parse(round.Groups[1].Value, CultureInfo.InvariantCulture);
                closed = Math.Max(closed, member.Round);
            }
            if (Lost().Match(line) is { Success: true } dropped)
                Dropped.Add((member.Round, dropped.Groups[1].Value));
        }
    }

    void Await(Func<bool> there, string otherwise)
    {
        Stopwatch patience = Stopwatch.StartNew();
        while (!there())
        {
            foreach ((string name, Member member) in members)
                if (member is { HasFailed: true })
                    throw new InvalidOperationException($"{name}: {member.Last}");
            if (patience.Elapsed > Limit)
                throw new TimeoutException(otherwise);
            Thread.Sleep(50);
        }
    }

    static string Run(string[] command)
    {
        using Process process = Process.Start(new ProcessStartInfo("dotnet", [Program, .. command]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException(errors.Result);
    }

    [GeneratedRegex(@"^ +round (\d+): ")]
    private static partial Regex Closed();

    [GeneratedRegex(@"^ +dropped (\S+): ")]
    private static partial Regex Lost();

    // One of them, in all its lives.
    sealed class Member(string[] command, bool server, Action<Member, string> heard)
    {
        Process? process;
        long idle, peak;

        public bool IsServer => server;

        public bool IsReady { get; private set; }

        public bool WasKilled { get; private set; }

        public int Kills { get; private set; }

        public int Round { get; set; }

        public string Last { get; private set; } = "";

        public bool HasExited => process!.HasExited;

        public bool HasFailed => !WasKilled && process!.HasExited && process.ExitCode != 0;

        public long Growth => peak - idle;

        public void Start()
        {
            Process started = new() { StartInfo = new ProcessStartInfo("dotnet", [Program, .. command]) { RedirectStandardError = true, RedirectStandardOutput = true } };
            started.OutputDataReceived += (_, _) => { };
            started.ErrorDataReceived += (_, said) =>
            {
                if (said.Data is not { } line)
                    return;
                Last = line;
                IsReady |= line.StartsWith("serving", StringComparison.Ordinal) || line.StartsWith("aggregating", StringComparison.Ordinal);
                if (server)
                    heard(this, line);
            };
            started.Start();
            (process, WasKilled) = (started, false);
            started.BeginErrorReadLine();
            started.BeginOutputReadLine();
        }

        // What it held at its start does not count: 5 has VmHWM begin again (proc(5)).
        public void Settle()
        {
            idle = Read("VmRSS:") ?? 0;
            File.WriteAllText($"/proc/{process!.Id}/clear_refs", "5");
        }

        public void Sample()
        {
            if (server && idle > 0 && Read("VmHWM:") is { } now)
                peak = Math.Max(peak, now);
        }

        public void Kill()
        {
            if (process!.HasExited)
                return;
            WasKilled = true;
            Kills++;
            process.Kill();
            process.WaitForExit();
        }

        long? Read(string field)
        {
            try
            {
                string? line = File.ReadLines($"/proc/{process!.Id}/status").FirstOrDefault(line => line.StartsWith(field, StringComparison.Ordinal));
                return line is null ? null : 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
            }
            catch (IOException)
            {
                // It ended in between.
                return null;
            }
        }
    }
}

// One port for several coordinators: each connection goes to the next one that answers.
sealed class OneName : IDisposable
{
    readonly TcpListener listener = new(IPAddress.Loopback, 0);
    readonly int[] ports;
    int turn;

    public OneName(int[] ports)
    {
        this.ports = ports;
        listener.Start();
        _ = Accept();
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    public void Dispose() => listener.Dispose();

    async Task Accept()
    {
        try
        {
            while (true)
                _ = Carry(await listener.AcceptTcpClientAsync());
        }
        catch (Exception over) when (over is ObjectDisposedException or SocketException)
        {
            // The run is over.
        }
    }

    async Task Carry(TcpClient accepted)
    {
        using TcpClient near = accepted;
        for (int tries = 0; tries < ports.Length; tries++)
            try
            {
                using TcpClient far = new();
                await far.ConnectAsync(IPAddress.Loopback, ports[Interlocked.Increment(ref turn) % ports.Length]);
                await Task.WhenAny(near.GetStream().CopyToAsync(far.GetStream()), far.GetStream().CopyToAsync(near.GetStream()));
                return;
            }
            catch (SocketException)
            {
                // The next one.
            }
    }
}
