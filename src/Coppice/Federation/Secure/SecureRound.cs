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

/// <summary>One round with secure aggregation over clients that are asked one after the other, with dropouts at every step by seed.</summary>
static class SecureRound
{
    const int StepCount = 5;

    /// <summary>Goes through the five steps and gives the sum to the round.</summary>
    /// <exception cref="CoppiceException">Too few were left at some step, or the sum is none.</exception>
    public static void Run(Round round, string run, int index, IReadOnlyList<IClientChannel> channels, FederatedOptions options, CancellationToken cancel)
    {
        SecureSetup setup = SecureSetup.New(options.Secure!, run, index, ParameterRow.LengthOf(round.Shared), options.Seed);
        SecureServer server = new(setup, trusted: null);
        Exchanges exchanges = new(round, index, channels, options, setup.Attempt);
        try
        {
            exchanges.Ask(client => round.TaskFor(client, setup), FederationJson.Default.KeyAdvert, KeyAdvert.CurrentFormat,
                (client, keys, _) => server.Accept(client, keys), cancel);
            byte[] roster = SecureWire.Write(server.CloseKeys(), FederationJson.Default.RosterMessage);
            exchanges.Ask(_ => roster, FederationJson.Default.SealedShares, SealedShares.CurrentFormat, (client, shares, _) => server.Accept(client, shares), cancel);
            server.CloseShares();
            exchanges.Ask(client => SecureWire.Write(server.DeliveriesFor(client), FederationJson.Default.Deliveries), FederationJson.Default.MaskedInput, MaskedInput.CurrentFormat,
                (client, masked, numbers) => server.Accept(client, masked, numbers.Span), cancel);
            byte[] survivors = SecureWire.Write(server.CloseMasked(), FederationJson.Default.SurvivorList);
            // From the first signature on a stop would leave a sum that may not be asked for again.
            exchanges.Ask(_ => survivors, FederationJson.Default.SurvivorSignature, SurvivorSignature.CurrentFormat, (client, signature, _) => server.Accept(client, signature), CancellationToken.None);
            byte[] signatures = SecureWire.Write(server.CloseSignatures(), FederationJson.Default.SignatureList);
            exchanges.Ask(_ => signatures, FederationJson.Default.UnmaskShares, UnmaskShares.CurrentFormat, (client, shares, _) => server.Accept(client, shares), CancellationToken.None);
            SecureMean mean = server.Open();
            foreach ((string client, string reason) in exchanges.Lost)
                if (!server.Survivors.Contains(client))
                    round.Drop(client, reason);
            round.AcceptSum(server.Survivors, exchanges.BytesUp, mean, new SecureRecord(server.Plan.Clients, server.Plan.Minimum, server.Plan.Degree, mean.Weight, mean.Shortened));
        }
        catch (CoppiceException error)
        {
            throw new CoppiceException($"Round {index}: {error.Message}{(exchanges.Lost.Count == 0 ? "" : ": ")}{string.Join("; ", exchanges.Lost.Select(part => $"'{part.Key}' {part.Value}"))}", error);
        }
    }

    sealed class Exchanges(Round round, int index, IReadOnlyList<IClientChannel> channels, FederatedOptions options, string attempt)
    {
        readonly List<IClientChannel> here = [.. channels];
        int step;

        /// <summary>Who is gone, and why.</summary>
        public SortedDictionary<string, string> Lost { get; } = new(StringComparer.Ordinal);

        /// <summary>Bytes of all messages from each client.</summary>
        public Dictionary<string, long> BytesUp { get; } = new(StringComparer.Ordinal);

        /// <summary>Takes those that are left through a step.</summary>
        public void Ask<T>(Func<string, ReadOnlyMemory<byte>> message, JsonTypeInfo<T> type, string format, Action<string, T, ReadOnlyMemory<byte>> accept, CancellationToken cancel) where T : ISecureMessage
        {
            foreach (IClientChannel channel in here.ToArray())
            {
                cancel.ThrowIfCancellationRequested();
                string client = channel.Client;
                ReadOnlyMemory<byte> asked = message(client);
                try
                {
                    if (DropStep(client) == step)
                        throw new CoppiceException($"did not answer in step {step + 1} (simulated)");
                    ReadOnlyMemory<byte> answer = channel.Exchange(asked, cancel);
                    BytesUp[client] = BytesUp.GetValueOrDefault(client) + answer.Length;
                    T read = SecureWire.Read($"answer of client '{client}' in round {index}", answer, type, format, attempt, out ReadOnlyMemory<byte> payload);
                    accept(client, read, payload);
                }
                catch (CoppiceException error)
                {
                    Lost[client] = error.Message;
                    here.Remove(channel);
                }
                if (step > 0)
                    round.CountDown(asked.Length);
            }
            step++;
        }

        // A client that drops out does so at one of the five steps, all equally likely.
        int DropStep(string client)
        {
            double drawn = Seeds.Generator(options.Seed, "dropout", index, client).NextDouble();
            return drawn < options.Dropout ? (int)(drawn / options.Dropout * StepCount) : StepCount;
        }
    }
}
