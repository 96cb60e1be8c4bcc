using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>
/// The delta in 4 bits, stochastically rounded (QSGD, Alistarh et al. 2017): each run of 256 numbers has a float32 scale s = max|x| / 7 and whole numbers q in -7..7 that stand for q s.
/// Most are small, so that entropy coding takes them to about 3 bits. Unbiased.
/// </summary>
public sealed class Int4Codec : StreamCodec
{
    const int Most = 7;

    /// <inheritdoc/>
    public override string Name => "int4";

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Unbiased;

    private protected override void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random) => RunCodes.Write(writer, Runs(model, RunCodes.Length), numbers, Most, random);

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers) => RunCodes.Read(ref reader, Runs(model, RunCodes.Length), numbers, Most);
}
