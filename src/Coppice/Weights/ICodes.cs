namespace Coppice.Weights;

/// <summary>A matrix of codes whose scales stand.</summary>
interface ICodes
{
    /// <summary>Gives a weight, counted row after row, the code nearest a value; returns what that stands for.</summary>
    float Settle(int place, float value);

    /// <summary>The numbers as they will be stored: whole rows from <paramref name="firstRow"/> on, as many as fit <paramref name="dense"/>.</summary>
    void Unpack(int firstRow, Span<float> dense);
}
