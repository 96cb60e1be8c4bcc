using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Remote;
using Coppice.Federation.Secure;
using Coppice.Models;
using Coppice.Server.Certificates;
using Coppice.Tests.Federation;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Http;

/// <summary>A server, or a client, on a network that does something else than it should: refused by those it would harm, noted, and nothing is lost that could be kept.</summary>
public sealed class SecureServerAttackTests
{
    const int Count = 5;

    static readonly FederatedOptions Options = Tiny.Options with { Rounds = 1, LocalSteps = 1, Codec = new IdentityCodec(), Secure = new SecureOptions { Clip = 4, MaxWeight = 256 } };

    static async Task<(ImmutableArray<RoundRecord> Records, float[] Numbers)> Run(Live live, FederatedOptions options, Meddler? server = null, ISigners? signers = null)
    {
        DecoderModel model = Tiny.Model();
        RunJournal journal = new(live["driven"]);
        ImmutableArray<RoundRecord> records = await Task.Run(() => Simulation.Run(model, live.Channels(server), options, live.Hosting(signers), journal)).WaitAsync(Live.Patience);
        await live.End();
        return (records, Tiny.Numbers(model));
    }

    static void Noted(Live live, string text) => Assert.Contains(live.Noted, entry => entry.Contains(text, StringComparison.Ordinal));

    [Theory]
    [InlineData("another authority", "keys of client 'client-3': their certificate was not issued to a client by this run's authority")]
    [InlineData("the server", "keys of client 'client-3': their certificate was not issued to a client by this run's authority")]
    [InlineData("a client", "keys of client 'client-3': their certificate is that of 'client-4'")]
    [InlineData("forged", "keys of client 'client-3': are not signed by it")]
    [InlineData("none", "keys of client 'client-3': come with no certificate that can be read")]
    public async Task A_server_that_passes_its_own_keys_off_as_a_client_s_is_refused_by_whom_it_shows_them(string signer, string reason)
    {
        await using Live live = await Live.Start(Count);
        live.JoinAll();
        using TemporaryFolder elsewhere = new();
        using Authority foreign = Authority.Create(elsewhere.Path, TimeProvider.System.GetUtcNow());
        foreign.IssueClient("client-3", TimeProvider.System.GetUtcNow());
        using X509Certificate2 server = live.Authority.Server();
        X509Certificate2 own = signer switch
        {
            "another authority" => ClientIdentity.Load(elsewhere["clients/client-3.pem"], TimeProvider.System).Certificate,
            "a client" => live.Identity(4).Certificate,
            _ => server,
        };
        using ECDsa key = own.GetECDsaPrivateKey()!;
        using AgreementKey mine = AgreementKey.Create();
        SecureSetup? setup = null;
        // To client-1 the keys of client-3 are the server's.
        (ImmutableArray<RoundRecord> records, _) = await Run(live, Options, (client, format, asked, send) =>
        {
            if (format == SecureSetup.CurrentFormat)
                setup = Message.Read("setup", asked, FederationJson.Default.SecureSetup, out _);
            if (client != "client-1" || format != RosterMessage.CurrentFormat)
                return send(asked);
            RosterMessage roster = Message.Read("roster", asked, FederationJson.Default.RosterMessage, out _);
            KeyAdvert[] adverts = [.. roster.Clients];
            byte[] signature = key.SignHash(KeyAdvert.Hash(setup!.Context(), "client-3", mine.Public, adverts[3].SealKey));
            adverts[3] = adverts[3] with
            {
                MaskKey = mine.Public,
                Signature = signer == "forged" ? adverts[3].Signature : signature,
                Certificate = signer switch { "forged" => adverts[3].Certificate, "none" => [], _ => own.RawData },
            };
            return send(SecureWire.Write(roster with { Clients = adverts }, FederationJson.Default.RosterMessage));
        });
        Noted(live, $"step 2: 'client-1' failed: {reason}");
        Assert.Equal("client-1", Assert.Single(records[0].Dropped).Client);
        Assert.Equal(["client-0", "client-2", "client-3", "client-4"], records[0].Clients.Select(client => client.Client));
    }

    [Fact]
    public async Task Survivors_that_are_not_the_same_for_all_are_signed_and_nothing_is_given_out_for_them()
    {
        await using Live live = await Live.Start(Count);
        live.JoinAll();
        FederatedOptions options = Options with { Rounds = 2 };
        bool isFirst = true;
        (ImmutableArray<RoundRecord> records, _) = await Run(live, options, (client, format, asked, send) =>
        {
            if (!isFirst || format is not (SurvivorList.CurrentFormat or SecureSetup.CurrentFormat))
                return send(asked);
            if (format == SecureSetup.CurrentFormat)
            {
                isFirst = Message.Read("setup", asked, FederationJson.Default.SecureSetup, out _).Round == 1;
                return send(asked);
            }
            SurvivorList list = Message.Read("survivors", asked, FederationJson.Default.SurvivorList, out _);
            return send(client is "client-0" or "client-1" ? SecureWire.Write(list with { Survivors = list.Survivors[..4] }, FederationJson.Default.SurvivorList) : asked);
        }, new Credulous());
        Assert.Equal(Count, live.Noted.Count(entry => entry.Contains("is not one under the survivors that this client was shown", StringComparison.Ordinal)));
        Assert.Contains("0 of 5 clients have sent shares to unmask", records[0].Lost!, StringComparison.Ordinal);
        Assert.Equal((null, Count), (records[1].Lost, records[1].Clients.Length));
    }

    [Fact]
    public async Task A_server_that_asks_for_both_kinds_of_share_gets_none_of_the_second_and_nothing_more()
    {
        await using Live live = await Live.Start(Count);
        live.JoinAll();
        List<string> refusals = [];
        SurvivorList? shown = null;
        (ImmutableArray<RoundRecord> records, float[] numbers) = await Run(live, Options, (client, format, asked, send) =>
        {
            if (format == SurvivorList.CurrentFormat)
                shown = Message.Read("survivors", asked, FederationJson.Default.SurvivorList, out _);
            if (client != "client-2" || format != SignatureList.CurrentFormat)
                return send(asked);
            // Client-4 was a survivor; were it none, its masking key would be asked for as well.
            SurvivorList other = shown! with { Survivors = [.. shown!.Survivors.Where(name => name != "client-4")] };
            Refused(SecureWire.Write(other, FederationJson.Default.SurvivorList));
            ReadOnlyMemory<byte> honest = send(asked);
            Refused(SecureWire.Write(other, FederationJson.Default.SurvivorList));
            SignatureList again = Message.Read("signatures", asked, FederationJson.Default.SignatureList, out _);
            Refused(SecureWire.Write(again with { Signatures = again.Signatures[..4] }, FederationJson.Default.SignatureList));
            UnmaskShares shares = Message.Read("shares", honest, FederationJson.Default.UnmaskShares, out _);
            Assert.Empty(shares.Keys);
            Assert.Equal(Count - 1, shares.Seeds.Length);
            return honest;

            void Refused(byte[] message) => refusals.Add(Assert.Throws<Coppice.Tensors.CoppiceException>(() => send(message)).Message);
        });
        Assert.Equal(["is asked for step signed, its next one is unmasked", "its part in this attempt is over", "its part in this attempt is over"],
            refusals.Select(refusal => refusal["failed: secure aggregation at client 'client-2': ".Length..]));
        Assert.Equal(Count, records[0].Clients.Length);

        await using Live undisturbed = await Live.Start(Count);
        undisturbed.JoinAll();
        Assert.Equal((await Run(undisturbed, Options)).Numbers, numbers);
    }

    [Theory]
    [InlineData("signature", "signature of client 'client-2': is not one under the survivors")]
    [InlineData("keys", "keys of client 'client-2': are not signed by it")]
    [InlineData("certificate", "keys of client 'client-2': their certificate is that of 'client-4'")]
    public async Task A_client_that_forges_is_refused_by_the_server_and_the_others_go_on(string what, string reason)
    {
        await using Live live = await Live.Start(Count);
        byte[] other = live.Identity(4).Certificate.RawData;
        live.JoinAll((client, format, asked, send) =>
        {
            ReadOnlyMemory<byte> answer = send(asked);
            if (client != "client-2")
                return answer;
            switch (Message.FormatOf("answer", answer))
            {
                case SurvivorSignature.CurrentFormat when what == "signature":
                    SurvivorSignature signed = Message.Read("answer", answer, FederationJson.Default.SurvivorSignature, out _);
                    return SecureWire.Write(signed with { Signature = new byte[64] }, FederationJson.Default.SurvivorSignature);
                case KeyAdvert.CurrentFormat when what != "signature":
                    KeyAdvert advert = Message.Read("answer", answer, FederationJson.Default.KeyAdvert, out _);
                    return SecureWire.Write(what == "keys" ? advert with { Signature = [.. advert.Signature.Reverse()] } : advert with { Certificate = other }, FederationJson.Default.KeyAdvert);
                default:
                    return answer;
            }
        });
        (ImmutableArray<RoundRecord> records, _) = await Run(live, Options);
        Noted(live, reason);
        Assert.Equal(what == "signature" ? Count : Count - 1, records[0].Clients.Length);
    }

    [Fact]
    public async Task A_client_that_was_revoked_or_enrolled_anew_signs_nothing_with_its_old_certificate()
    {
        await using Live live = await Live.Start(Count);
        ClientIdentity before = live.Identity(1), revoked = live.Identity(2);
        live.Store.Enrol("client-1", live.Authority.IssueClient("client-1", TimeProvider.System.GetUtcNow()).Thumbprint, TimeProvider.System.GetUtcNow());
        live.Store.Revoke("client-2", TimeProvider.System.GetUtcNow());
        Assert.Equal("their certificate is not the one that is enrolled", Refusal(live.Signers, before, "client-1"));
        Assert.Equal("their certificate is not the one that is enrolled", Refusal(live.Signers, revoked, "client-2"));
        Assert.Null(Refusal(live.Signers, live.Identity(1), "client-1"));
        Assert.Null(Refusal(live.Signers, live.Identity(3), "client-3"));

        // Clients know the authority alone, and the time.
        CertifiedSigners clients = new(live.Authority.Certificate, TimeProvider.System), later = new(live.Authority.Certificate, new Clock { Now = TimeProvider.System.GetUtcNow().AddDays(1000) });
        Assert.Null(Refusal(clients, before, "client-1"));
        Assert.StartsWith("their certificate is valid from", Refusal(later, before, "client-1"), StringComparison.Ordinal);
        Assert.Equal("come with no certificate that can be read", clients.Refuses("client-1", [1, 2, 3], new byte[32], new byte[64]));
        Assert.Equal("are not signed by it", clients.Refuses("client-1", before.Certificate.RawData, new byte[32], []));

        static string? Refusal(ISigners signers, ClientIdentity identity, string client)
        {
            using ECDsa key = identity.Certificate.GetECDsaPrivateKey()!;
            byte[] hash = SHA256.HashData([7]);
            return signers.Refuses(client, identity.Certificate.RawData, hash, key.SignHash(hash));
        }
    }

    // A server that would have clients believe anything.
    sealed class Credulous : ISigners
    {
        public string? Refuses(string client, byte[] certificate, byte[] hash, byte[] signature) => null;
    }
}
