using System.Text.Json.Nodes;
using Coppice.Federation;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Federation;

public sealed class ClientTests : IDisposable
{
    readonly WorkerPool pool = new(1);
    readonly DecoderModel model = Tiny.Model();

    public void Dispose() => pool.Dispose();

    ReadOnlyMemory<byte> Task(FederatedOptions? options = null, int round = 1) =>
        new Round("run", round, model.Config, ParameterSet.Copy(model), options ?? Tiny.Options).TaskFor(Tiny.Name(0));

    Client Client(int index = 0) => new(Tiny.Name(index), Tiny.Text(index), pool);

    [Fact]
    public void A_task_that_comes_again_gets_the_same_bytes_and_one_out_of_turn_is_refused()
    {
        Client client = Client();
        byte[] update = client.Answer(Task()).ToArray();
        Assert.Equal(update, client.Answer(Task()).ToArray());
        ReadOnlyMemory<byte> other = Task(Tiny.Options with { LocalSteps = 1 });
        Assert.Contains("round 1 of this run was answered already", Assert.Throws<CoppiceException>(() => client.Answer(other)).Message, StringComparison.Ordinal);
        Assert.Contains("is for client 'client-0'", Assert.Throws<CoppiceException>(() => Client(1).Answer(Task())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_update_says_nothing_of_the_text_but_its_windows_and_losses()
    {
        JsonObject control = WireFormat.Control(Client().Answer(Task()), out _);
        Assert.Equal(["format", "run", "round", "client", "codec", "samples", "lossBefore", "lossAfter"], control.Select(field => field.Key));
        Assert.Equal((200 - 1 - Tiny.Context) / Tiny.Context, (int)control["samples"]!);
    }

    [Fact]
    public void Losses_are_measured_on_held_out_text_where_there_is_some()
    {
        Client own = Client(), other = new(Tiny.Name(0), Tiny.Text(0), pool, heldOut: Tiny.Text(2));
        JsonObject a = WireFormat.Control(own.Answer(Task()), out ReadOnlyMemory<byte> first), b = WireFormat.Control(other.Answer(Task()), out ReadOnlyMemory<byte> second);
        Assert.NotEqual((double)a["lossBefore"]!, (double)b["lossBefore"]!);
        Assert.Equal(first.ToArray(), second.ToArray());
    }

    [Theory]
    [InlineData("format", "\"coppice.task.9\"", "format is 'coppice.task.9'")]
    [InlineData("codec", "\"zip\"", "'zip' is none of identity")]
    [InlineData("localSteps", "0", "localSteps 0")]
    [InlineData("training", "{}", "control part")]
    [InlineData("training", "null", "control part")]
    [InlineData("unknown", "1", "control part")]
    [InlineData("model", "{\"model_type\":\"gpt9\"}", "wanted one of llama")]
    [InlineData("context", "2147483647", "tokens a step")]
    [InlineData("context", "0", "context length is 0")]
    [InlineData("model", "[]", "wanted an object")]
    public void A_damaged_task_is_refused_and_changes_nothing(string field, string value, string reason)
    {
        Client client = Client();
        JsonObject control = WireFormat.Control(Task(), out ReadOnlyMemory<byte> tensors);
        if (field == "context")
            control["training"]!["contextLength"] = JsonNode.Parse(value);
        else
            control[field] = JsonNode.Parse(value);
        byte[] message = WireFormat.Message(control.ToJsonString(), tensors.Span);
        Assert.Contains(reason, Assert.Throws<CoppiceException>(() => client.Answer(message)).Message, StringComparison.Ordinal);
        Assert.Equal(Client().Answer(Task()).ToArray(), client.Answer(Task()).ToArray());
    }

    [Fact]
    public void A_model_that_is_not_of_the_sizes_named_is_refused()
    {
        JsonObject control = WireFormat.Control(Task(), out ReadOnlyMemory<byte> tensors);
        control["model"]!["intermediate_size"] = 25;
        CoppiceException error = Assert.Throws<CoppiceException>(() => Client().Answer(WireFormat.Message(control.ToJsonString(), tensors.Span)));
        Assert.Contains("wanted [25, 16]", error.Message, StringComparison.Ordinal);
        Assert.Throws<CoppiceException>(() => Client().Answer(Task()[..^3]));
    }

    [Fact]
    public void State_of_another_text_is_refused()
    {
        using Formats.TemporaryFolder folder = new();
        new Client(Tiny.Name(0), Tiny.Text(0), pool, journal: folder["state"]).Answer(Task());
        CoppiceException error = Assert.Throws<CoppiceException>(() => new Client(Tiny.Name(0), Tiny.Text(1), pool, journal: folder["state"]).Answer(Task(round: 2)));
        Assert.Contains("the text is not that of the run's earlier rounds", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_optimizer_within_a_run_is_refused()
    {
        Client client = Client();
        client.Answer(Task(Tiny.Options with { Training = Tiny.Training with { Optimizer = Coppice.Training.OptimizerKind.Sgd } }));
        Assert.Contains("has no 'adam.m.", Assert.Throws<CoppiceException>(() => client.Answer(Task(round: 2))).Message, StringComparison.Ordinal);
    }
}
