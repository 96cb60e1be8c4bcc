using System.Security.Cryptography;
using Coppice.Federation.Secure;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Tests.Federation.Secure;

/// <summary>A server or a client that does something else than it should.</summary>
public class SecureAttackTests
{
    static readonly SecureOptions Options = new();

    [Fact]
    public void A_server_that_shows_two_sets_of_survivors_gets_one_signature_and_no_shares_for_the_other()
    {
        using Attempt attempt = new(5, Options);
        attempt.Keys();
        attempt.Shares();
        attempt.Masked();
        // To clients 0 to 3 the last one has dropped out, so that they would give shares of its masking key; to itself and to others it has not, so that they would give shares of its seed.
        SurvivorList without = attempt.Survivors with { Survivors = attempt.Names[..4] };
        SurvivorSignature[] others = [.. Enumerable.Range(0, 3).Select(i => attempt.Clients[i].Sign(without))];
        SurvivorSignature[] all = [.. Enumerable.Range(3, 2).Select(i => attempt.Clients[i].Sign(attempt.Survivors))];

        Assert.Contains("its next one is unmasked", Attempt.Refusal(() => attempt.Clients[0].Sign(attempt.Survivors)), StringComparison.Ordinal);
        Assert.Contains("3 clients have signed the survivors, wanted 4 or more", Attempt.Refusal(() => attempt.Clients[1].Unmask(Signatures(others))), StringComparison.Ordinal);
        Assert.Contains("is not one under the survivors", Attempt.Refusal(() => attempt.Clients[3].Unmask(Signatures([.. others, .. all]))), StringComparison.Ordinal);
        Assert.Contains("2 clients have signed", Attempt.Refusal(() => attempt.Clients[4].Unmask(Signatures(all))), StringComparison.Ordinal);

        SignatureList Signatures(SurvivorSignature[] signatures) => new(SignatureList.CurrentFormat, attempt.Setup.Attempt, signatures);
    }

    [Fact]
    public void Nobody_gives_both_kinds_of_share_of_one_client()
    {
        using Attempt attempt = new(10, Options, new Dictionary<int, int> { [2] = 3, [7] = 3, [4] = 4 });
        attempt.Keys();
        attempt.Shares();
        attempt.Masked();
        attempt.Sign();
        foreach (int i in attempt.Here(5))
        {
            UnmaskShares shares = attempt.Clients[i].Unmask(attempt.Signatures);
            Assert.Equal(["client-002", "client-007"], shares.Keys.Select(share => share.Client));
            Assert.Equal(attempt.Names.Except(["client-002", "client-007", attempt.Names[i]]), shares.Seeds.Select(share => share.Client));
            Assert.Contains("is over", Attempt.Refusal(() => attempt.Clients[i].Unmask(attempt.Signatures)), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Signatures_of_one_client_count_once_and_those_of_others_or_of_another_attempt_not_at_all()
    {
        using Attempt attempt = new(5, Options), other = new(5, Options);
        foreach (Attempt each in (Attempt[])[attempt, other])
        {
            each.Keys();
            each.Shares();
            each.Masked();
            each.Sign();
        }
        SignatureList twice = attempt.Signatures with { Signatures = [.. attempt.Signatures.Signatures[..3], attempt.Signatures.Signatures[0]] };
        Assert.Contains("'client-000'", Attempt.Refusal(() => attempt.Clients[0].Unmask(twice)), StringComparison.Ordinal);
        Assert.Contains("'client-000'", Attempt.Refusal(() => attempt.Clients[1].Unmask(other.Signatures)), StringComparison.Ordinal);
        SurvivorSignature forged = attempt.Signatures.Signatures[4] with { Signature = new byte[64] };
        Assert.Contains("'client-004'", Attempt.Refusal(() => attempt.Clients[2].Unmask(attempt.Signatures with { Signatures = [.. attempt.Signatures.Signatures[..4], forged] })), StringComparison.Ordinal);
        SurvivorSignature stranger = new(SurvivorSignature.CurrentFormat, attempt.Setup.Attempt, "eve", new byte[64]);
        Assert.Contains("'eve'", Attempt.Refusal(() => attempt.Clients[3].Unmask(attempt.Signatures with { Signatures = [.. attempt.Signatures.Signatures[..4], stranger] })), StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_that_forges_a_signature_or_answers_for_another_is_refused_by_the_server()
    {
        using Attempt attempt = new(5, Options) { Signed = (i, message) => i == 2 ? message with { Signature = [.. message.Signature.Select(part => (byte)(part ^ 1))] } : message };
        attempt.Keys();
        attempt.Shares();
        attempt.Masked();
        Assert.Contains("signature of client 'client-002'", Attempt.Refusal(attempt.Sign), StringComparison.Ordinal);
        SurvivorSignature own = new(SurvivorSignature.CurrentFormat, attempt.Setup.Attempt, "client-003", []);
        Assert.Contains("are of client 'client-003'", Attempt.Refusal(() => attempt.Server.Accept("client-004", own)), StringComparison.Ordinal);
        Assert.Contains("came before", Attempt.Refusal(() => attempt.Server.Accept("client-001", attempt.Roster.Clients[1])), StringComparison.Ordinal);
    }

    [Fact]
    public void Keys_that_are_changed_on_their_way_are_refused_by_every_client()
    {
        using Attempt attempt = new(5, Options);
        attempt.Keys();
        using AgreementKey mine = AgreementKey.Create();
        KeyAdvert[] clients = [.. attempt.Roster.Clients];
        clients[3] = clients[3] with { MaskKey = mine.Public };
        Assert.Contains("keys of client 'client-003': are not signed by it", Attempt.Refusal(() => attempt.Clients[0].Share(attempt.Roster with { Clients = clients })), StringComparison.Ordinal);
        Assert.Contains("other keys of this client", Attempt.Refusal(() => attempt.Clients[3].Share(attempt.Roster with { Clients = clients })), StringComparison.Ordinal);
        Assert.Contains("in order", Attempt.Refusal(() => attempt.Clients[1].Share(attempt.Roster with { Clients = [.. attempt.Roster.Clients.Reverse()] })), StringComparison.Ordinal);
        Assert.Contains("no client 'client-004'", Attempt.Refusal(() => attempt.Clients[4].Share(attempt.Roster with { Clients = attempt.Roster.Clients[..4] })), StringComparison.Ordinal);
        Assert.Contains("is over", Attempt.Refusal(() => attempt.Clients[0].Share(attempt.Roster)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_off_the_curve_is_refused_by_the_server_and_if_it_is_signed_by_neighbours()
    {
        using Attempt attempt = new(5, Options);
        KeyAdvert honest = attempt.Clients[0].Advertise();
        byte[] off = [.. honest.MaskKey];
        off[50] ^= 1;
        KeyAdvert signed = honest with { SealKey = off, Signature = attempt.SignerOf(0).SignHash(KeyAdvert.Hash(attempt.Setup.Context(), "client-000", honest.MaskKey, off)) };
        Assert.Contains("public key of client 'client-000': is no point of P-256", Attempt.Refusal(() => attempt.Server.Accept("client-000", signed)), StringComparison.Ordinal);

        KeyAdvert[] clients = [signed, .. Enumerable.Range(1, 4).Select(i => attempt.Clients[i].Advertise())];
        RosterMessage roster = new(RosterMessage.CurrentFormat, attempt.Setup.Attempt, clients);
        Assert.Contains("public key of client 'client-000': is no point of P-256", Attempt.Refusal(() => attempt.Clients[1].Share(roster)), StringComparison.Ordinal);
    }

    [Fact]
    public void Sealed_shares_that_were_changed_are_refused_by_their_receiver()
    {
        using Attempt attempt = new(5, Options)
        {
            Shared = (i, message) => i == 1 ? message with { Shares = [.. message.Shares.Select(share => share.Client == "client-003" ? share with { Bytes = [.. share.Bytes.Select((part, at) => at == 9 ? (byte)(part ^ 1) : part)] } : share)] } : message,
        };
        attempt.Keys();
        attempt.Shares();
        Assert.Contains("client 'client-003': the shares of client 'client-001': a sealed message was changed", Attempt.Refusal(() => attempt.Clients[3].Mask(attempt.Server.DeliveriesFor("client-003"), new uint[5])), StringComparison.Ordinal);
        // Another client's shares do not open either: keys are of one direction between two clients.
        Deliveries swapped = attempt.Server.DeliveriesFor("client-002") with { Shares = attempt.Server.DeliveriesFor("client-004").Shares };
        Assert.Contains("not one of each neighbour", Attempt.Refusal(() => attempt.Clients[2].Mask(swapped, new uint[5])), StringComparison.Ordinal);
        Deliveries own = attempt.Server.DeliveriesFor("client-000");
        Deliveries rotated = own with { Shares = [.. own.Shares.Zip([.. own.Shares[1..], own.Shares[0]], (name, bytes) => name with { Bytes = bytes.Bytes })] };
        Assert.Contains("a sealed message was changed on its way, or is not for this client", Attempt.Refusal(() => attempt.Clients[0].Mask(rotated, new uint[5])), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, 1, "")]
    [InlineData(true, 1, "")]
    [InlineData(false, 2, "do not give back its seed")]
    [InlineData(true, 2, "do not give back its masking key")]
    public void Shares_that_are_wrong_are_left_out_or_end_the_attempt_and_never_give_a_wrong_sum(bool isKey, int liars, string reason)
    {
        // Of a dropout there are as many shares as of a survivor and one more; 3 are needed.
        using Attempt attempt = new(5, Options, isKey ? new Dictionary<int, int> { [4] = 3 } : null)
        {
            Unmasked = (i, message) => i == 0 || i > liars ? message : isKey ? message with { Keys = [.. message.Keys.Select(Changed)] } : message with { Seeds = [.. message.Seeds.Select(Changed)] },
        };
        if (liars == 1)
            Assert.Equal(attempt.PlainSum(), attempt.Run());
        else
            Assert.Contains(reason, Attempt.Refusal(() => attempt.Run()), StringComparison.Ordinal);

        static OpenShare Changed(OpenShare share) => share with { Bytes = [(byte)(share.Bytes[0] ^ 1), .. share.Bytes[1..]] };
    }

    [Fact]
    public void Shares_of_the_wrong_kind_or_that_are_none_are_refused()
    {
        using Attempt attempt = new(5, Options, new Dictionary<int, int> { [4] = 3 });
        attempt.Keys();
        attempt.Shares();
        attempt.Masked();
        attempt.Sign();
        UnmaskShares honest = attempt.Clients[0].Unmask(attempt.Signatures);
        Assert.Contains("is not one share of each", Attempt.Refusal(() => attempt.Server.Accept("client-000", honest with { Seeds = [.. honest.Seeds, .. honest.Keys], Keys = [] })), StringComparison.Ordinal);
        Assert.Contains("what is no share", Attempt.Refusal(() => attempt.Server.Accept("client-000", honest with { Keys = [honest.Keys[0] with { Bytes = [.. Enumerable.Repeat((byte)0xFF, 40)] }] })), StringComparison.Ordinal);
        attempt.Server.Accept("client-000", honest);
        Assert.Contains("came before", Attempt.Refusal(() => attempt.Server.Accept("client-000", honest)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_leaves_too_few_or_others_than_before_gets_nothing()
    {
        using Attempt attempt = new(5, Options);
        attempt.Keys();
        attempt.Shares();
        Deliveries three = attempt.Server.DeliveriesFor("client-000");
        Assert.Contains("are 3 clients, wanted 4", Attempt.Refusal(() => attempt.Clients[0].Mask(three with { Sharers = attempt.Names[..3], Shares = three.Shares[..2] }, new uint[5])), StringComparison.Ordinal);
        foreach (int i in new[] { 1, 2, 3, 4 })
            attempt.Clients[i].Mask(attempt.Server.DeliveriesFor(attempt.Names[i]), new uint[5]);
        Assert.Contains("are 3 clients, wanted 4", Attempt.Refusal(() => attempt.Clients[1].Sign(List(attempt.Names[1..4]))), StringComparison.Ordinal);
        Assert.Contains("client 'eve', who was not there", Attempt.Refusal(() => attempt.Clients[2].Sign(List([.. attempt.Names, "eve"]))), StringComparison.Ordinal);
        Assert.Contains("leave this client out", Attempt.Refusal(() => attempt.Clients[3].Sign(List([.. attempt.Names[..3], attempt.Names[4]]))), StringComparison.Ordinal);
        Assert.Contains("each client once", Attempt.Refusal(() => attempt.Clients[4].Sign(List([.. attempt.Names[..4], "client-004", "client-004"]))), StringComparison.Ordinal);

        SurvivorList List(string[] survivors) => new(SurvivorList.CurrentFormat, attempt.Setup.Attempt, survivors);
    }

    [Fact]
    public void A_client_wants_company()
    {
        using Attempt attempt = new(4, Options);
        using SecureClient shy = new("client-000", attempt.Setup, attempt.SignerOf(0), attempt.Trusted, new SecureJournal(null)) { LeastClients = 10 };
        KeyAdvert[] clients = [shy.Advertise(), .. attempt.Clients[1..].Select(client => client.Advertise())];
        Assert.Contains("has 4 clients, wanted 10 or more", Attempt.Refusal(() => shy.Share(new RosterMessage(RosterMessage.CurrentFormat, attempt.Setup.Attempt, clients))), StringComparison.Ordinal);
    }

    [Fact]
    public void After_a_restart_an_attempt_is_over_and_after_a_signature_its_round()
    {
        using TemporaryFolder folder = new();
        using Attempt attempt = new(5, Options);
        string file = folder["client.json"];
        SecureSetup second = SecureSetup.New(Options, "run", 1, 5, 1), third = SecureSetup.New(Options, "run", 1, 5, 1), later = SecureSetup.New(Options, "run", 2, 5, 1), elsewhere = SecureSetup.New(Options, "another", 1, 5, 1);
        Begin(attempt.Setup);
        Assert.Contains("masks are not made twice", Attempt.Refusal(() => Begin(attempt.Setup)), StringComparison.Ordinal);
        Begin(second);
        new SecureJournal(file).Sign("run");
        Begin(elsewhere);
        Assert.Contains("would give updates away", Attempt.Refusal(() => Begin(third)), StringComparison.Ordinal);
        Begin(later);
        Assert.Contains("comes after round 2", Attempt.Refusal(() => Begin(third)), StringComparison.Ordinal);
        File.WriteAllText(file, "{}");
        Assert.Contains("client.json", Attempt.Refusal(() => Begin(later)), StringComparison.Ordinal);

        void Begin(SecureSetup setup) => new SecureClient("client-000", setup, attempt.SignerOf(0), attempt.Trusted, new SecureJournal(file)).Dispose();
    }

    [Fact]
    public void A_setup_that_hides_nobody_or_names_no_attempt_is_refused()
    {
        using Attempt attempt = new(4, Options);
        foreach (SecureSetup wrong in (SecureSetup[])[attempt.Setup with { Attempt = "1" }, attempt.Setup with { Adversaries = 1 }, attempt.Setup with { Clip = double.NaN }, attempt.Setup with { Bits = 40 }, attempt.Setup with { Round = 0 }])
            Assert.Throws<CoppiceException>(() => new SecureClient("client-000", wrong, attempt.SignerOf(0), attempt.Trusted, new SecureJournal(null)).Dispose());
    }
}
