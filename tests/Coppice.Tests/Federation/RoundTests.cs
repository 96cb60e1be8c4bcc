using System.Text.Json.Nodes;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Strategies;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Federation;

public sealed class RoundTests : IDisposable
{
    readonly WorkerPool pool = new(1);
    readonly DecoderModel model = Tiny.Model();

    public void Dispose() => pool.Dispose();

    Round Open(FederatedOptions? options = null) => new("run", 1, model.Config, ParameterSet.Copy(model), options ?? Tiny.Options);

    Client Client(int index) => new(Tiny.Name(index), Tiny.Text(index, 200 + 40 * index), pool);

    [Fact]
    public void The_order_of_arrival_changes_nothing()
    {
        Round forward = Open(), backward = Open();
        ReadOnlyMemory<byte>[] updates = [.. Enumerable.Range(0, 3).Select(i => Client(i).Answer(forward.TaskFor(Tiny.Name(i))))];
        for (int i = 0; i < 3; i++)
            forward.Accept(Tiny.Name(i), updates[i]);
        for (int i = 2; i >= 0; i--)
        {
            backward.TaskFor(Tiny.Name(i));
            backward.Accept(Tiny.Name(i), updates[i]);
        }
        ParameterSet a = forward.Close().Model, b = backward.Close().Model;
        Assert.All(a.Tensors, part => Assert.Equal(part.Value.Data.ToArray(), b.Tensors[part.Key].Data.ToArray()));
    }

    [Fact]
    public void The_average_is_weighted_by_samples()
    {
        ParameterSet zero = new([("w", new Tensor([2]))]);
        ParameterSet next = new FedAvg().Aggregate(zero, UpdateKind.Delta, [Update("b", 3, [1, 2]), Update("a", 1, [5, -2])], new AggregationContext(2, 2, 1, null));
        Assert.Equal([2f, 1f], next.Tensors["w"].Data.ToArray());

        static WeightedUpdate Update(string client, int samples, float[] values) => new(client, samples, new ParameterSet([("w", Tensor.From([2], values))]));
    }

    [Theory]
    [InlineData("format", "\"coppice.update.2\"", "format is")]
    [InlineData("run", "\"another\"", "run is 'another', wanted 'run'")]
    [InlineData("round", "2", "round is '2', wanted '1'")]
    [InlineData("client", "\"client-1\"", "client is 'client-1', wanted 'client-0'")]
    [InlineData("codec", "\"identity\"", "codec is 'identity', wanted 'int8'")]
    [InlineData("samples", "0", "samples is 0")]
    [InlineData("samples", "1e99", "control part")]
    [InlineData("samples", "null", "control part")]
    [InlineData("lossAfter", "-1", "losses")]
    [InlineData("lossAfter", "\"NaN\"", "control part")]
    [InlineData("text", "\"private\"", "control part")]
    public void A_wrong_field_is_refused(string field, string value, string reason)
    {
        Round round = Open();
        JsonObject control = WireFormat.Control(Client(0).Answer(round.TaskFor(Tiny.Name(0))), out ReadOnlyMemory<byte> tensors);
        control[field] = JsonNode.Parse(value);
        Refuses(round, WireFormat.Message(control.ToJsonString(), tensors.Span), reason);
    }

    public static TheoryData<string, string> Hostile => new()
    {
        { "missing", "has no tensor 'model.norm.weight'" },
        { "renamed", "has no tensor 'model.norm.weight'" },
        { "extra", "tensors, wanted" },
        { "transposed", "is I8 [24, 16], wanted I8 [16, 24]" },
        { "type", "is U8 [16], wanted I8 [16]" },
        { "nan", "not finite" },
        { "negative", "holds -1" },
        { "huge", "wanted 0 or more and finite" },
        { "-128", "holds -128" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_hostile_tensor_is_refused(string attack, string reason)
    {
        const string norm = "model.norm.weight", down = "model.layers.0.mlp.down_proj.weight";
        Round round = Open();
        JsonObject control = WireFormat.Control(Client(0).Answer(round.TaskFor(Tiny.Name(0))), out ReadOnlyMemory<byte> tensors);
        using SafeTensors honest = SafeTensors.Read("honest", tensors);
        List<TensorSource> sources = [.. honest.Entries.Values.Select(entry => TensorSource.Raw<byte>(entry.Name, entry.DType, entry.Shape, entry.ToBytes()))];
        TensorSource normSource = sources.Single(source => source.Name == norm);
        switch (attack)
        {
            case "missing": sources.Remove(normSource); break;
            case "renamed": Replace(normSource with { Name = "model.norm.bias" }); break;
            case "extra": sources.Add(normSource with { Name = "extra" }); break;
            case "transposed": Replace(sources.Single(source => source.Name == down) with { Shape = [24, 16] }); break;
            case "type": Replace(normSource with { DType = DType.U8 }); break;
            case "nan": Scale(float.NaN); break;
            case "negative": Scale(-1); break;
            case "huge": Scale(3e38f); break;
            case "-128": Replace(TensorSource.Raw<sbyte>(norm, DType.I8, [16], new sbyte[16].Select(_ => sbyte.MinValue).ToArray())); break;
        }
        Refuses(round, WireFormat.Message(control.ToJsonString(), SafeTensorsWriter.ToBytes(sources)), reason);

        void Scale(float value) => Replace(TensorSource.Raw<float>(norm + ".scale", DType.F32, [1], new[] { value }));
        void Replace(TensorSource source)
        {
            string wanted = attack == "renamed" ? norm : source.Name;
            sources.RemoveAll(old => old.Name == wanted);
            sources.Add(source);
        }
    }

    [Theory]
    [InlineData("int8")]
    [InlineData("identity")]
    public void Whatever_bytes_arrive_a_round_refuses_them_in_one_line_or_takes_finite_numbers(string codec)
    {
        Random random = new(6);
        FederatedOptions options = Tiny.Options with { Codec = CodecRegistry.Find(codec), LocalSteps = 1 };
        ReadOnlyMemory<byte> honest = Client(0).Answer(Open(options).TaskFor(Tiny.Name(0)));
        int refused = 0;
        for (int attempt = 0; attempt < 400; attempt++)
        {
            byte[] message = honest.ToArray();
            if (attempt % 4 == 0)
                message = message[..random.Next(message.Length)];
            for (int flips = random.Next(1, 4); flips > 0 && message.Length > 0; flips--)
                message[random.Next(attempt % 2 == 0 ? message.Length : Math.Min(message.Length, 4000))] = (byte)random.Next(256);
            Round round = Open(options);
            round.TaskFor(Tiny.Name(0));
            try
            {
                round.Accept(Tiny.Name(0), message);
                Assert.All(round.Close().Model.Tensors.Values, tensor => Assert.All(tensor.Data.ToArray(), value => Assert.True(float.IsFinite(value))));
            }
            catch (CoppiceException error)
            {
                refused++;
                Assert.Contains("client-0", error.Message, StringComparison.Ordinal);
                Assert.DoesNotContain('\n', error.Message);
            }
        }
        Assert.True(refused > 200, $"{refused} refused");
    }

    [Fact]
    public void An_update_that_nobody_asked_for_or_that_comes_twice_is_refused()
    {
        Round round = Open();
        ReadOnlyMemory<byte> update = Client(0).Answer(round.TaskFor(Tiny.Name(0)));
        Refuses(round, update.ToArray(), "was not asked for", Tiny.Name(1));
        round.Accept(Tiny.Name(0), update);
        Refuses(round, update.ToArray(), "came before");
        RoundRecord record = round.Close().Record;
        Assert.Equal(3L * update.Length, record.BytesUp);
        Assert.Single(record.Clients);
    }

    [Fact]
    public void A_refused_update_costs_the_run_one_client_of_one_round()
    {
        IClientChannel[] channels = Tiny.Channels(pool, 3);
        channels[1] = new Tapped(channels[1], (_, exchange) => exchange()[..^10]);
        RoundRecord round = Simulation.Run(Tiny.Model(), channels, Tiny.Options with { Rounds = 1 })[0];
        Assert.Equal(["client-0", "client-2"], round.Clients.Select(client => client.Client));
        Assert.Contains("update of client 'client-1' in round 1", Assert.Single(round.Dropped).Reason, StringComparison.Ordinal);
    }

    static void Refuses(Round round, byte[] message, string reason, string client = "client-0")
    {
        string found = Assert.Throws<CoppiceException>(() => round.Accept(client, message)).Message;
        Assert.Contains($"update of client '{client}' in round 1", found, StringComparison.Ordinal);
        Assert.Contains(reason, found, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', found);
    }
}
