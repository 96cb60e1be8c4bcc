namespace Coppice.Report.Charts;

/// <summary>Where a name stands beside its point, in pixels.</summary>
public readonly record struct NamePlace(double Right, double Down, string Anchor);

/// <summary>Puts names beside points so that they cross neither points nor one another, as far as four sides and two distances allow.</summary>
public static class NamePlacing
{
    /// <summary>The plot's height in pixels.</summary>
    public const int Height = 320;

    const double Width = 640, Letter = 7, Line = 15, Radius = 10;

    static readonly NamePlace[] Sides =
    [
        new(14, 4, "start"), new(-14, 4, "end"), new(0, -16, "middle"), new(0, 25, "middle"),
        new(14, -12, "start"), new(14, 20, "start"), new(-14, -12, "end"), new(-14, 20, "end"),
    ];

    /// <summary>One place a point, in order; coordinates in percent from the upper left. A name that fits nowhere takes the side with the least overlap.</summary>
    public static IReadOnlyList<NamePlace> Place(IReadOnlyList<(string Name, double X, double Y)> points)
    {
        List<Box> taken = [.. points.Select(p => new Box(p.X / 100 * Width - Radius, p.Y / 100 * Height - Radius, 2 * Radius, 2 * Radius))];
        List<NamePlace> places = [];
        foreach ((string name, double x, double y) in points)
        {
            NamePlace best = Sides.MinBy(side => Cost(Around(side, name, x, y), taken));
            taken.Add(Around(best, name, x, y));
            places.Add(best);
        }
        return places;
    }

    static Box Around(NamePlace side, string name, double x, double y)
    {
        double width = Letter * name.Length, left = x / 100 * Width + side.Right;
        left -= side.Anchor == "end" ? width : side.Anchor == "middle" ? width / 2 : 0;
        return new Box(left, y / 100 * Height + side.Down - 12, width, Line);
    }

    static double Cost(Box box, List<Box> taken)
    {
        double outside = Math.Max(0, -box.X) + Math.Max(0, box.X + box.Width - Width) + Math.Max(0, -box.Y) + Math.Max(0, box.Y + box.Height - Height);
        return 100 * outside + taken.Sum(box.Overlap);
    }

    readonly record struct Box(double X, double Y, double Width, double Height)
    {
        public double Overlap(Box other) =>
            Math.Max(0, Math.Min(X + Width, other.X + other.Width) - Math.Max(X, other.X)) *
            Math.Max(0, Math.Min(Y + Height, other.Y + other.Height) - Math.Max(Y, other.Y));
    }
}
