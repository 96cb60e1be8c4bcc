using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Strategies;
using Coppice.Federation.Virtual;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Training.Quantized;
using Coppice.Weights;

namespace Coppice.Tests.Federation;

public sealed class IntegerTrainingTests : IDisposable
{
    static readonly TrainingOptions Training = Tiny.Training with { Quantization = new QuantizedTraining { Bits = 4, GroupSize = 8 } };

    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    [Fact]
    public void One_client_whose_matrices_train_as_integers_is_plain_training_bit_for_bit()
    {
        DecoderModel plain = Tiny.Model(), federated = Tiny.Model();
        Trainer trainer = new(plain, new TokenWindows(Tiny.Text(0), Tiny.Context, Training.Seed), Training with { Steps = 12 }, pool);
        for (int i = 0; i < 12; i++)
            trainer.Step();
        trainer.Finish();

        Simulation.Run(federated, Tiny.Channels(pool, 1), Tiny.Options with { Rounds = 6, LocalSteps = 2, Training = Training, Codec = new IdentityCodec() });
        Assert.Equal(Tiny.Numbers(plain), Tiny.Numbers(federated));
    }

    [Theory]
    [InlineData("int8")]
    [InlineData("pq:4:16")]
    public void Clients_train_integers_together_and_the_matrices_of_the_blocks_end_as_those(string codec)
    {
        DecoderModel model = Tiny.Model();
        ImmutableArray<RoundRecord> rounds = Simulation.Run(model, Tiny.Channels(pool, 3), Tiny.Options with { Rounds = 8, Training = Training, Codec = CodecRegistry.Find(codec) });
        Assert.True(rounds[^1].LossBefore < rounds[0].LossBefore - 0.05, $"{rounds[0].LossBefore} to {rounds[^1].LossBefore}");
        Assert.All(model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices), matrix => Assert.Equal(4, Assert.IsType<IntWeight>(matrix.Weight).Bits));
    }

    [Fact]
    public void Strategies_and_worlds_that_know_no_steps_are_refused()
    {
        FederatedOptions options = Tiny.Options with { Training = Training };
        Assert.Contains("strategy 'fedbuff:3:1'", Assert.Throws<CoppiceException>((options with { Strategy = new FedBuff(3) }).Validate).Message, StringComparison.Ordinal);
        Assert.Contains("strategy 'maskvote:0.5'", Assert.Throws<CoppiceException>((options with { Strategy = new MaskVote(), Codec = CodecRegistry.Find("mask:0.5") }).Validate).Message, StringComparison.Ordinal);
        Assert.Contains("integers in training", Assert.Throws<CoppiceException>(() => VirtualSimulation.Run(Tiny.Model(), Tiny.Channels(pool, 2), options, new World(), 1)).Message, StringComparison.Ordinal);
        Assert.Contains("adapters in training", Assert.Throws<CoppiceException>(() => Simulation.Run(Adapted(), Tiny.Channels(pool, 1), options)).Message, StringComparison.Ordinal);

        static DecoderModel Adapted()
        {
            DecoderModel model = Tiny.Model();
            Lora.Attach(model, new LoraOptions { Rank = 2, Alpha = 4 }, seed: 1);
            return model;
        }
    }
}
