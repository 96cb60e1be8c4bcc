using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Structured;

/// <summary>A step that makes a decoder's matrices smaller.</summary>
public abstract record StructuredStep : ModelStep
{
    /// <inheritdoc/>
    public override bool TakesPruned => false;

    /// <inheritdoc/>
    public sealed override Model Apply(ModelWork work)
    {
        if (work.Model is not DecoderModel model)
            throw new CoppiceException($"{Key} makes decoders smaller, and this is a {work.Model.Family} model");
        if (NeedsCalibration && work.Calibration.Count == 0)
            throw new CoppiceException($"{Key} needs calibration text and there is none");
        return Apply(model, work);
    }

    /// <summary>The smaller model.</summary>
    protected abstract DecoderModel Apply(DecoderModel model, ModelWork work);

    /// <summary>How many of <paramref name="all"/> stay when <paramref name="share"/> goes: the nearest multiple of <paramref name="multiple"/>, at least one of it.</summary>
    /// <exception cref="CoppiceException">None would go.</exception>
    private protected int CountKept(string units, int all, double share, int multiple = 1)
    {
        int kept = Math.Max(1, (int)Math.Round(all * (1 - share) / multiple, MidpointRounding.ToEven)) * multiple;
        return kept < all ? kept : throw new CoppiceException($"{Key}: none of {all} {units} goes for a share of {Number(share)}{(multiple > 1 ? $" in multiples of {multiple}" : "")}; ask for more");
    }

    private protected static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
