namespace Coppice.Report.Data;

/// <summary>What became of one matrix.</summary>
/// <param name="Name">Its full name.</param>
/// <param name="Kind">How it is stored now: <c>int4-g32</c>.</param>
/// <param name="BitsPerWeight">Stored bits a weight, scales and masks included.</param>
/// <param name="Sparsity">The share of zeros, 0 to 1.</param>
/// <param name="RelativeError">||W x - Q x||^2 / ||W x||^2 over the calibration text, or of the weights alone where nothing was calibrated.</param>
public sealed record CompressedLayer(string Name, string Kind, double BitsPerWeight, double Sparsity, double RelativeError);
