using System.Text.Json.Serialization.Metadata;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>What a round's record says of its secure aggregation.</summary>
/// <param name="Keys">Clients that sent keys.</param>
/// <param name="Minimum">With fewer of them at any step there would have been no sum.</param>
/// <param name="Neighbours">With how many each shared masks.</param>
/// <param name="Weight">All clients' weights together.</param>
/// <param name="Shortened">Clients whose update was longer than the norm.</param>
public sealed record SecureRecord(int Keys, int Minimum, int Neighbours, long Weight, int Shortened);

/// <summary>One round with secure aggregation: five steps, in each of which all clients that are left are asked, one after the other or, over a network, at once. In a simulation clients drop out at every step by seed.</summary>
static class SecureRound
{
    const int StepCount = 5;

    /// <summary>Begins the round as often as it may be and gives a sum to it. A network's clients take part in no other attempt once survivors have been signed, so that what fails after that is lost, and the round ends without a result.</summary>
    /// <exception cref="CoppiceException">Too few were left at some step, or the sum is none.</exception>
    public static void Run(Round round, string run, int index, IReadOnlyList<IClientChannel> channels, FederatedOptions options, SecureHosting? hosting, RunJournal? journal, CancellationToken cancel)
    {
        if (hosting is not null && journal is not null && journal.IsSpent(run, index))
        {
            round.Lose("the server ended after survivors had been signed, and a second sum of the same updates could be told from the first");
            return;
        }
        Dictionary<string, long> bytesUp = new(StringComparer.Ordinal);
        for (int attempt = 1; ; attempt++)
        {
            SecureSetup setup = SecureSetup.New(options.Secure!.With(options.Privacy), run, index, ParameterRow.LengthOf(round.Shared), options.Seed);
            Conversation conversation = new(round, index, channels, options, setup.Attempt, bytesUp, line => Log(attempt, line));
            try
            {
                Attempt(round, setup, conversation, hosting, hosting is null ? null : () => journal?.Spend(run, index), cancel);
                return;
            }
            catch (CoppiceException error)
            {
                string line = $"{error.Message}{(conversation.Lost.Count == 0 ? "" : ": ")}{string.Join("; ", conversation.Lost.Select(part => $"'{part.Key}' {part.Value}"))}";
                Log(attempt, error.Message);
                if (hosting is not null && conversation.Step >= StepCount - 2)
                {
                    foreach ((string client, string reason) in conversation.Lost)
                        round.Drop(client, reason);
                    round.Lose(line);
                    return;
                }
                if (attempt >= (hosting?.Attempts ?? 1))
                    throw new CoppiceException($"Round {index}: {line}", error);
            }
        }

        void Log(int attempt, string line) => hosting?.Log?.Report($"round {index}, attempt {attempt}: {line}");
    }

    static void Attempt(Round round, SecureSetup setup, Conversation clients, SecureHosting? hosting, Action? signing, CancellationToken cancel)
    {
        SecureServer server = new(setup, hosting?.Signers);
        clients.Ask(Pace.Work, client => round.TaskFor(client, setup), FederationJson.Default.KeyAdvert, KeyAdvert.CurrentFormat,
            (client, keys, _) => server.Accept(client, keys), cancel);
        byte[] roster = SecureWire.Write(server.CloseKeys(), FederationJson.Default.RosterMessage);
        clients.Ask(Pace.Prompt, _ => roster, FederationJson.Default.SealedShares, SealedShares.CurrentFormat, (client, shares, _) => server.Accept(client, shares), cancel);
        server.CloseShares();
        clients.Ask(Pace.Prompt, client => SecureWire.Write(server.DeliveriesFor(client), FederationJson.Default.Deliveries), FederationJson.Default.MaskedInput, MaskedInput.CurrentFormat,
            (client, masked, numbers) => server.Accept(client, masked, numbers.Span), cancel);
        byte[] survivors = SecureWire.Write(server.CloseMasked(), FederationJson.Default.SurvivorList);
        // From the first signature on a stop would leave a sum that may not be asked for again.
        signing?.Invoke();
        clients.Ask(Pace.Prompt, _ => survivors, FederationJson.Default.SurvivorSignature, SurvivorSignature.CurrentFormat, (client, signature, _) => server.Accept(client, signature), CancellationToken.None);
        byte[] signatures = SecureWire.Write(server.CloseSignatures(), FederationJson.Default.SignatureList);
        clients.Ask(Pace.Prompt, _ => signatures, FederationJson.Default.UnmaskShares, UnmaskShares.CurrentFormat, (client, shares, _) => server.Accept(client, shares), CancellationToken.None);
        SecureMean mean = server.Open();
        foreach ((string client, string reason) in clients.Lost)
            if (!server.Survivors.Contains(client))
                round.Drop(client, reason);
        round.AcceptSum(server.Survivors, clients.BytesUp, mean, new SecureRecord(server.Plan.Clients, server.Plan.Minimum, server.Plan.Degree, mean.Weight, mean.Shortened));
    }

    sealed class Conversation(Round round, int index, IReadOnlyList<IClientChannel> channels, FederatedOptions options, string attempt, Dictionary<string, long> bytesUp, Action<string> log)
    {
        readonly List<IClientChannel> here = [.. channels];

        /// <summary>Steps that were begun, less one.</summary>
        public int Step { get; private set; } = -1;

        /// <summary>Who is gone, and why.</summary>
        public SortedDictionary<string, string> Lost { get; } = new(StringComparer.Ordinal);

        /// <summary>Bytes of all messages from each client, in this attempt and in those before it.</summary>
        public Dictionary<string, long> BytesUp => bytesUp;

        /// <summary>Takes those that are left through a step.</summary>
        public void Ask<T>(Pace pace, Func<string, ReadOnlyMemory<byte>> message, JsonTypeInfo<T> type, string format, Action<string, T, ReadOnlyMemory<byte>> accept, CancellationToken cancel) where T : ISecureMessage
        {
            Step++;
            foreach (IClientChannel channel in here.Where(channel => DropStep(channel.Client) == Step).ToArray())
            {
                Counted(message(channel.Client));
                Lose(channel, $"did not answer in step {Step + 1} (simulated)");
            }
            foreach ((IClientChannel channel, ReadOnlyMemory<byte> answer, string? fault) in Exchanges.All([.. here], pace, channel => Counted(message(channel.Client)), cancel))
                try
                {
                    BytesUp[channel.Client] = BytesUp.GetValueOrDefault(channel.Client) + answer.Length;
                    if (fault is not null)
                        throw new CoppiceException(fault);
                    T read = SecureWire.Read($"answer of client '{channel.Client}' in round {index}", answer, type, format, attempt, out ReadOnlyMemory<byte> payload);
                    accept(channel.Client, read, payload);
                }
                catch (CoppiceException error)
                {
                    Lose(channel, error.Message);
                }
        }

        // The first message is a task, which the round counts itself.
        ReadOnlyMemory<byte> Counted(ReadOnlyMemory<byte> message)
        {
            if (Step > 0)
                round.CountDown(message.Length);
            return message;
        }

        void Lose(IClientChannel channel, string reason)
        {
            Lost[channel.Client] = reason;
            here.Remove(channel);
            log($"step {Step + 1}: '{channel.Client}' {reason}");
        }

        // A client that drops out does so at one of the five steps, all equally likely.
        int DropStep(string client)
        {
            double drawn = Seeds.Generator(options.Seed, "dropout", index, client).NextDouble();
            return drawn < options.Dropout ? (int)(drawn / options.Dropout * StepCount) : StepCount;
        }
    }
}
