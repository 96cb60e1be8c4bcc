using System.CommandLine;
using Coppice.Federation;
using Coppice.Federation.Privacy;
using Coppice.Federation.Remote;
using Coppice.Federation.Secure;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;

namespace Coppice.Cli;

/// <summary>coppice federate join: one client of a run on a network.</summary>
static class FederateJoinCommand
{
    static readonly Argument<string> Server = new("server") { Description = "The server's address: https://HOST:PORT" };
    static readonly Option<string> Certificate = new("--certificate") { Description = "The client's file, as federate init issued it", HelpName = "FILE", Required = true };
    static readonly Option<string> Data = new("--text") { Description = $"What to train on; it never leaves this machine: {TextArgument.Specs}", HelpName = "TEXT", Required = true };
    static readonly Option<string?> HeldOut = Options.Text("--held-out", "TEXT", "What losses are measured on; the training text by default");
    static readonly Option<SecureOptions?> Secure = Options.Named("--secure", "NAME", "Takes part in nothing but secure aggregation, with the options that federate serve has; without, the client does as the server asks", SecureOptions.Find);
    static readonly Option<PrivacyOptions?> Privacy = Options.Named("--dp", "NAME", "With --secure: takes part only where all clients add this noise, distributed:NOISE as federate serve has", PrivacyOptions.Find);
    static readonly Option<string?> State = Options.Text("--state", "DIR", "Where the client keeps its optimizer and its last update; NAME.federation by default");
    static readonly Option<int> LeastClients = Options.Integer("--least-clients", "With secure aggregation: with fewer clients this one takes no part", value: 3, least: 3);
    static readonly Option<double> GiveUp = Options.Number("--give-up", "Seconds for which the server may be out of reach", new RemoteOptions().Patience.TotalSeconds, least: 1);

    public static Command Create()
    {
        Command join = new("join", "Takes part in a federated run on a network until it is over; stopped or killed, the same command goes on where it was")
        {
            Server, Certificate, Data, HeldOut, State, GiveUp, Secure, Privacy, LeastClients, TextArgument.Documents, TextArgument.Sdk,
        };
        join.SetAction(Run);
        return join;
    }

    static async Task<int> Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        if (!Uri.TryCreate(parsed.GetRequiredValue(Server), UriKind.Absolute, out Uri? server) || server.Scheme != Uri.UriSchemeHttps)
            throw new MisuseException($"'{parsed.GetRequiredValue(Server)}' is no server's address, wanted https://HOST:PORT");
        if (parsed.GetValue(Privacy) is { } privacy && (privacy.Place != PrivacyPlace.Distributed || parsed.GetValue(Secure) is null))
            throw new MisuseException("--dp: a client can ask for noise that clients share alone, and with secure aggregation alone; wanted distributed:NOISE and --secure");
        using ClientIdentity identity = ClientIdentity.Load(parsed.GetRequiredValue(Certificate), TimeProvider.System);
        string state = parsed.GetValue(State) ?? $"{identity.Name}.federation";
        RemoteOptions options = new() { Patience = TimeSpan.FromSeconds(parsed.GetValue(GiveUp)) };
        using RemoteClient remote = new(server, identity, options, progress: new Lines(session));
        try
        {
            PrivateFolder.Create(state);
            string tokenizer = Path.Combine(state, "tokenizer");
            await remote.FetchTokenizer(tokenizer, cancel);
            Client client = Open(parsed, session, identity.Name, Tokenizer.Load(tokenizer), Path.Combine(state, "state.safetensors"), cancel);
            using SecureChannel channel = SecureChannel.Certified(client, identity, TimeProvider.System, Path.Combine(state, "secure.json"), parsed.GetValue(Secure)?.With(parsed.GetValue(Privacy)), parsed.GetValue(LeastClients));
            int committed = await remote.Run(channel, cancel);
            if (committed == 0 && remote.Failure is { } reason)
                throw new CoppiceException($"client {identity.Name}: nothing that it was asked could be done: {reason}");
            session.Say($"gave {committed} answers");
            session.Document(json => json.WriteNumber("answers", committed));
            return ExitCode.Done;
        }
        catch (OperationCanceledException error) when (cancel.IsCancellationRequested)
        {
            throw new InterruptedException($"interrupted; the same command goes on from {state}", error);
        }
    }

    static Client Open(ParseResult parsed, Session session, string name, Tokenizer tokenizer, string journal, CancellationToken cancel)
    {
        int[] tokens = Tokens(parsed.GetRequiredValue(Data));
        int[]? heldOut = parsed.GetValue(HeldOut) is { } spec ? Tokens(spec) : null;
        if (tokens.Length == 0 || heldOut?.Length == 0)
            throw new CoppiceException($"client {name}: its text is empty");
        return new Client(name, tokens, session.Pool, heldOut, journal);

        int[] Tokens(string spec) => TokenWindows.Tokenize(tokenizer, TextArgument.Open(spec, parsed, cancel).Documents);
    }

    sealed class Lines(Session session) : IProgress<string>
    {
        public void Report(string value) => session.Say($"   {value}");
    }
}
