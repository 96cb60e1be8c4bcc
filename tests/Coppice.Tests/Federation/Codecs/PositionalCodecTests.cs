using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Codecs;

public class PositionalCodecTests
{
    const int Long = 70_003;

    [Theory]
    [InlineData("identity")]
    [InlineData("float16")]
    [InlineData("int8")]
    [InlineData("int8-feedback")]
    public void Any_run_is_decoded_alone(string name)
    {
        PositionalCodec codec = Assert.IsType<PositionalCodec>(CodecRegistry.Find(name), exactMatch: false);
        ParameterSet before = Numbers(1), after = Numbers(2);
        using SafeTensors message = SafeTensors.Read("message", SafeTensorsWriter.ToBytes(codec.Encode(before, after, codec.Traits.HasFlag(CodecTraits.Stateful) ? before.Zeros() : null, new Random(3))));
        ParameterSet whole = codec.Decode(message, before);
        double distance = codec.Kind == UpdateKind.Weights ? whole.DistanceTo(after) : whole.DistanceTo(after.Minus(before));
        Assert.InRange(distance / after.DistanceTo(before), 0, 0.01);
        foreach ((string tensor, Tensor values) in whole.Tensors)
            foreach ((int first, int count) in new[] { (0, 1), (256, 300), (16_384, 40_000), (65_536, Long - 65_536), (0, Long) })
            {
                if (first + count > values.Shape.Length)
                    continue;
                float[] run = new float[count];
                codec.Decode(message, tensor, first, run);
                Assert.Equal(values.Data.Slice(first, count).ToArray(), run);
            }
    }

    [Fact]
    public void A_number_that_is_not_finite_is_told_by_its_place()
    {
        ParameterSet model = Numbers(1);
        model.Tensors["long"].Data[Long - 2] = float.NaN;
        using SafeTensors message = SafeTensors.Read("message", SafeTensorsWriter.ToBytes(model.Sources(DType.F32)));
        float[] run = new float[Long - 65_536];
        CoppiceException refused = Assert.Throws<CoppiceException>(() => new IdentityCodec().Decode(message, "long", 65_536, run));
        Assert.Contains($"tensor 'long' holds a number that is not finite at {Long - 2:N0} of {Long:N0}", refused.Message, StringComparison.Ordinal);
    }

    static ParameterSet Numbers(int seed)
    {
        Random random = new(seed);
        return new ParameterSet([("long", Random([Long])), ("short", Random([7, 43]))]);

        Tensor Random(Shape shape)
        {
            Tensor tensor = new(shape);
            foreach (ref float value in tensor.Data)
                value = (float)(random.NextDouble() - 0.5);
            return tensor;
        }
    }
}
