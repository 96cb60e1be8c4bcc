using System.Text.Json.Nodes;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Recipes;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Recipes;

public sealed class InputsMessagesTests : IDisposable
{
    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    static InputsTask Task() => new(InputsTask.CurrentFormat, "run", 2, 1, "client-0", 1, 100, 8, 0, ["a", "b"], Statistics.Gram, default);

    InputStatistics Seen(int seed)
    {
        Random random = new(seed);
        InputStatistics seen = new(5, Statistics.Gram);
        seen.Add(pool, Array.ConvertAll(new float[35], _ => (float)random.NextDouble() - 0.5f));
        return seen;
    }

    [Fact]
    public void An_answer_has_what_was_seen()
    {
        InputStatistics[] seen = [Seen(1), Seen(2)];
        (InputsAnswer answer, InputStatistics[] read) = InputsAnswer.Read("answer", InputsAnswer.Write(Task(), 7, seen), Task(), [5, 5]);
        Assert.Equal((7, 2), (answer.AllTokens, read.Length));
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(seen[i].Gram.ToArray(), read[i].Gram.ToArray());
            Assert.Equal(seen[i].MeanSquares(), read[i].MeanSquares());
            Assert.Equal(7, read[i].Tokens);
        }
    }

    [Fact]
    public void Parts_together_are_the_whole()
    {
        Random random = new(3);
        float[] x = Array.ConvertAll(new float[60], _ => (float)random.NextDouble() - 0.3f);
        InputStatistics whole = new(5, Statistics.Gram), first = new(5, Statistics.Gram), second = new(5, Statistics.Gram);
        whole.Add(pool, x);
        first.Add(pool, x.AsSpan(0, 20));
        second.Add(pool, x.AsSpan(20));
        InputStatistics together = InputStatistics.Together([(first, 1), (second, 1), (new InputStatistics(5, Statistics.Gram), 1)]);
        Assert.Equal(12, together.Tokens);
        for (int i = 0; i < 25; i++)
            Assert.Equal(whole.Gram[i], together.Gram[i], 1e-6f);
    }

    [Fact]
    public void A_part_that_counts_half_is_as_much_as_half_of_its_tokens()
    {
        // Two tokens of 1 and 2, four of 3 that count half: (1 + 4 + 2 * 9) / 4.
        InputStatistics own = new(1, Statistics.Gram), other = new(1, Statistics.Gram);
        own.Add(pool, [1, 2]);
        other.Add(pool, [3, 3, 3, 3]);
        InputStatistics together = InputStatistics.Together([(own, 1), (other, 0.5)]);
        Assert.Equal((4L, 5.75f, 5.75f), (together.Tokens, together.Gram[0], together.MeanSquares()[0]));
        Assert.Equal((2L, 2.5f), (InputStatistics.Together([(own, 1), (other, 0)]).Tokens, InputStatistics.Together([(own, 1), (other, 0)]).Gram[0]));
    }

    [Theory]
    [InlineData("step", "3", "step 3 of client 'client-0'; wanted")]
    [InlineData("client", "\"client-1\"", "client 'client-1'; wanted")]
    [InlineData("tokens", "[7]", "counts 7 tokens")]
    [InlineData("tokens", "[7,8]", "counts 7 tokens")]
    [InlineData("allTokens", "0", "counts 0 tokens")]
    [InlineData("more", "1", "control part")]
    public void An_answer_to_something_else_is_refused(string field, string value, string reason)
    {
        JsonObject control = WireFormat.Control(InputsAnswer.Write(Task(), 7, [Seen(1), Seen(2)]), out ReadOnlyMemory<byte> tensors);
        control[field] = JsonNode.Parse(value);
        string line = Assert.Throws<CoppiceException>(() => InputsAnswer.Read("answer", WireFormat.Message(control.ToJsonString(), tensors.Span), Task(), [5, 5])).Message;
        Assert.Contains(reason, line, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', line);
    }

    [Fact]
    public void Sums_of_other_sizes_or_that_are_not_finite_are_refused()
    {
        byte[] answer = InputsAnswer.Write(Task(), 7, [Seen(1), Seen(2)]);
        Assert.Contains("wanted F64 [4]", Assert.Throws<CoppiceException>(() => InputsAnswer.Read("answer", answer, Task(), [4, 5])).Message, StringComparison.Ordinal);
        Assert.Contains("tensors, wanted 2", Assert.Throws<CoppiceException>(() => InputsAnswer.Read("answer", answer, Task() with { Statistics = Statistics.ColumnNorms }, [5, 5])).Message, StringComparison.Ordinal);
        InputStatistics infinite = new(5, Statistics.Gram);
        infinite.Add(pool, [float.PositiveInfinity, 1, 1, 1, 1]);
        Assert.Contains("'b' that are not finite", Assert.Throws<CoppiceException>(() => InputsAnswer.Read("answer", InputsAnswer.Write(Task(), 7, [Seen(1), infinite]), Task(), [5, 5])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_refuses_what_it_cannot_do()
    {
        DecoderModel model = Tiny.Model();
        byte[] first = Begin(model, "client-0", 1, 0);
        Client client = new(Tiny.Name(0), Tiny.Text(0), pool);
        Assert.Contains("client-1", Fails(client, Begin(model, "client-1", 1, 0)), StringComparison.Ordinal);
        Assert.Contains("goes on from step 1, and this client is at step 0", Fails(client, Begin(model, "client-0", 2, 1)), StringComparison.Ordinal);
        byte[] answer = client.Answer(first).ToArray();
        Assert.Equal(answer, client.Answer(first).ToArray());
        Assert.Contains("asks for block 9 of 1", Fails(client, Begin(model, "client-0", 2, 1, block: 9)), StringComparison.Ordinal);
        Assert.Contains("'nothing', which the model does not have", Fails(client, Begin(model, "client-0", 2, 1, reader: "nothing")), StringComparison.Ordinal);
        Assert.Contains("has not come", Fails(client, Begin(model, "client-0", 2, 1, reader: "model.layers.0.self_attn.o_proj")), StringComparison.Ordinal);

        static string Fails(Client client, byte[] task) => Assert.Throws<CoppiceException>(() => client.Answer(task)).Message;
    }

    static byte[] Begin(DecoderModel model, string client, int step, int since, int block = 0, string? reader = null) => Message.Write(
        new InputsTask(InputsTask.CurrentFormat, "run", step, since, client, 1, 100, 8, block, reader is null ? [] : [reader], Statistics.Gram, RoundTask.WriteConfig(model.Config, Coppice.Formats.DType.F32)),
        FederationJson.Default.InputsTask, Coppice.Formats.SafeTensorsWriter.ToBytes([.. WireWeights.Vectors(model), .. since == 0 ? WireWeights.Of("model.embed_tokens", model.Embedding.Weight) : []]));
}
