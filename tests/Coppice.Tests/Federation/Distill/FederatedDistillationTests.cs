using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Distill;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Federation.Widths;
using Coppice.Training;

namespace Coppice.Tests.Federation.Distill;

public sealed class FederatedDistillationTests : IDisposable
{
    static readonly FederatedDistillationOptions Options = new() { Rounds = 3, PublicWindows = 4, DigestSteps = 6, LocalSteps = 2, EvaluationWindows = 4, Seed = 3, Training = Tiny.Training with { WarmupSteps = 0, FinalRateShare = 1 } };

    static readonly int[] Public = Tiny.Text(7, 400);

    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    IClientChannel Channel(int i, DecoderModel? model) => new LocalChannel(new Client(Tiny.Name(i), Tiny.Text(i), pool) { OwnModel = model });

    static Tensor Logits(ReadOnlyMemory<byte> message, string name)
    {
        WireFormat.Control(message, out ReadOnlyMemory<byte> tensors);
        using SafeTensors file = SafeTensors.Read("message", tensors);
        return file.ReadTensor(name);
    }

    [Fact]
    public void The_mean_of_logits_is_that_of_each_by_hand() =>
        Assert.Equal([2f, -1, 0.5f, 4], FederatedDistillation.Mean([Tensor.From([2, 2], [1, 0, 1, 8]), Tensor.From([2, 2], [3, -2, 0, 0])]).Data.ToArray());

    [Fact]
    public void Clients_of_different_shapes_get_the_mean_of_what_all_hold_of_the_text_and_nothing_else()
    {
        DecoderModel[] models = [Tiny.Model(), Wide.Model(2)];
        List<ReadOnlyMemory<byte>> tasks = [], answers = [];
        IClientChannel[] channels = [.. models.Select((model, i) => new Tapped(Channel(i, model), (task, exchange) =>
        {
            tasks.Add(task);
            ReadOnlyMemory<byte> answer = exchange();
            answers.Add(answer);
            return answer;
        }))];
        ImmutableArray<DistillationRecord> records = FederatedDistillation.Run(channels, Public, Tiny.Vocabulary, Options with { LocalSteps = 0, Rounds = 1 });

        // Before any step what each says is what its model, as it began, holds of the text.
        WireFormat.Control(tasks[0], out ReadOnlyMemory<byte> sent);
        using SafeTensors file = SafeTensors.Read("task", sent);
        int[] ids = new int[4 * (Tiny.Context + 1)];
        file.Find("text").ReadBytes(0, System.Runtime.InteropServices.MemoryMarshal.AsBytes(ids.AsSpan()));
        DecoderModel[] fresh = [Tiny.Model(), Wide.Model(2)];
        for (int i = 0; i < 2; i++)
        {
            Batch batch = new();
            batch.Add(ids.AsSpan(0, Tiny.Context));
            float[] own = fresh[i].Forward(batch, new ForwardContext(pool)).Data.ToArray(), said = Logits(answers[i], "logits").Data[..own.Length].ToArray();
            Assert.Equal(own.Select(value => (float)(Half)value), said);
        }
        Tensor agreed = Logits(tasks[2], "agreed.logits"), first = Logits(answers[0], "logits"), second = Logits(answers[1], "logits");
        for (int i = 0; i < agreed.Shape.Length; i++)
            Assert.Equal((float)(Half)(((double)first.Data[i] + second.Data[i]) / 2), agreed.Data[i]);
        Assert.Equal(Logits(tasks[2], "agreed.logits").Data.ToArray(), Logits(tasks[3], "agreed.logits").Data.ToArray());
        Assert.Equal([models[0].ParameterCount, models[1].ParameterCount], records[0].Clients.Select(client => client.Parameters));
        Assert.Equal((tasks.Sum(task => (long)task.Length), answers.Sum(answer => (long)answer.Length)), (records.Sum(record => record.BytesDown), records.Sum(record => record.BytesUp)));
    }

    [Fact]
    public void Clients_that_hold_the_same_have_nothing_to_learn_and_others_come_nearer()
    {
        // Alone, a client agrees with itself: digesting moves it by no more than the rounding to halves and the optimizer's decay.
        TrainingOptions plain = Options.Training with { Optimizer = OptimizerKind.Sgd, LearningRate = 0.5 };
        DecoderModel alone = Tiny.Model();
        FederatedDistillation.Run([Channel(0, alone)], Public, Tiny.Vocabulary, Options with { LocalSteps = 0, Training = plain });
        Assert.All(Tiny.Numbers(Tiny.Model()).Zip(Tiny.Numbers(alone)), pair => Assert.Equal(pair.First, pair.Second, 1e-3f));

        DecoderModel[] models = [Tiny.Model(), Wide.Model(5)];
        double before = Distance(models);
        FederatedDistillation.Run([.. models.Select((model, i) => Channel(i, model))], Public, Tiny.Vocabulary, Options with { LocalSteps = 0, DigestSteps = 20 });
        Assert.True(Distance(models) < 0.5 * before, $"{before} to {Distance(models)}");

        double Distance(DecoderModel[] both)
        {
            Batch batch = new();
            batch.Add(Public.AsSpan(0, Tiny.Context));
            float[][] logits = [.. both.Select(model => model.Forward(batch, new ForwardContext(pool)).Data.ToArray())];
            return Math.Sqrt(logits[0].Zip(logits[1], (a, b) => (double)(a - b) * (a - b)).Sum());
        }
    }

    [Fact]
    public void A_run_lowers_clients_losses_and_a_seed_decides_it()
    {
        float[][] results = [.. Enumerable.Range(0, 2).Select(_ =>
        {
            DecoderModel[] models = [Tiny.Model(), Wide.Model(2), Tiny.Model(3)];
            ImmutableArray<DistillationRecord> records = FederatedDistillation.Run([.. models.Select((model, i) => Channel(i, model))], Public, Tiny.Vocabulary, Options with { Rounds = 5, LocalSteps = 4, Dropout = 0.1 });
            Assert.Equal(6, records.Length);
            Assert.True(records[^1].Clients.Average(client => client.LossAfter) < records[0].Clients.Average(client => client.LossBefore) - 0.1);
            return models.SelectMany(model => Tiny.Numbers(model)).ToArray();
        })];
        Assert.Equal(results[0], results[1]);
    }

    [Fact]
    public void A_task_that_comes_twice_gets_the_same_bytes_and_one_out_of_turn_is_refused()
    {
        Client client = new(Tiny.Name(0), Tiny.Text(0), pool) { OwnModel = Tiny.Model() };
        List<ReadOnlyMemory<byte>> tasks = [];
        FederatedDistillation.Run([new Tapped(new LocalChannel(client), (task, exchange) =>
        {
            tasks.Add(task);
            ReadOnlyMemory<byte> answer = exchange();
            Assert.Equal(answer.ToArray(), client.Answer(task).ToArray());
            return answer;
        })], Public, Tiny.Vocabulary, Options);
        Assert.Contains("is past round 4", Assert.Throws<CoppiceException>(() => client.Answer(tasks[0])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_is_one_line()
    {
        Refused("and it has none", [Channel(0, null)]);
        Refused("they do not belong together", [Channel(0, Tiny.Model())], vocabulary: 40);
        Refused("is F16 [32, 32], wanted F16 [32, 31]", [new Tapped(Channel(0, Tiny.Model()), (_, exchange) => exchange())], vocabulary: 31, other: Channel(0, Tiny.Model()));
        Refused("two clients are named 'client-0'", [Channel(0, Tiny.Model()), Channel(0, Tiny.Model())]);
        Assert.Contains("wanted 99", Assert.Throws<CoppiceException>(() => FederatedDistillation.Run([Channel(0, Tiny.Model())], Public, Tiny.Vocabulary, Options with { PublicWindows = 99 })).Message, StringComparison.Ordinal);
        Assert.Contains("temperature is 0", Assert.Throws<CoppiceException>((Options with { Temperature = 0 }).Validate).Message, StringComparison.Ordinal);

        static void Refused(string reason, IClientChannel[] channels, int vocabulary = Tiny.Vocabulary, IClientChannel? other = null)
        {
            IClientChannel[] asked = other is null ? channels : [new Tapped(other, (task, exchange) => WithVocabulary(task, Tiny.Vocabulary) is var changed ? other.Exchange(changed, default) : default)];
            Assert.Contains(reason, Assert.Throws<CoppiceException>(() => FederatedDistillation.Run(asked, [.. Public.Select(token => token % vocabulary)], vocabulary, Options)).Message, StringComparison.Ordinal);
        }

        // What a client says of more tokens than were asked about.
        static byte[] WithVocabulary(ReadOnlyMemory<byte> task, int vocabulary)
        {
            System.Text.Json.Nodes.JsonObject control = WireFormat.Control(task, out ReadOnlyMemory<byte> tensors);
            control["vocabulary"] = vocabulary;
            return WireFormat.Message(control.ToJsonString(), tensors.Span);
        }
    }
}
