using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>Between a container's named tensors and a model's layers, whatever the container and the family.</summary>
static class ModelCheckpoint
{
    /// <summary>Builds a model: <paramref name="create"/> asks for each parameter by our name, <paramref name="place"/> says where it is stored, <paramref name="mayStay"/> which stored tensors may be there without a use.</summary>
    /// <exception cref="CoppiceException">A tensor is missing, has another shape, or is there without a use.</exception>
    public static TModel Build<TModel>(string family, ICheckpoint checkpoint, Func<Func<string, Shape, Weight>, Func<string, Shape, Tensor>, TModel> create, Func<string, TensorPlace> place,
        Func<string, bool> mayStay, WeightReading reading = WeightReading.Whole)
    {
        HashSet<string> unused = [.. checkpoint.Names], stored = [.. checkpoint.Names];
        // What holds several of our matrices is read once.
        (string Name, Weight? Weight) last = default;
        TModel model = create(Matrix, Vector);
        // Some writers store biases of zero for every quantized layer (AutoGPTQ).
        unused.RemoveWhere(name => mayStay(name));
        unused.RemoveWhere(name => name.EndsWith(".bias", StringComparison.Ordinal) && checkpoint.ReadTensor(name).Data.IndexOfAnyExcept(0f) < 0);
        return unused.Count == 0
            ? model
            : throw new CoppiceException($"{checkpoint.Path}: a {family} model has no use for {unused.Count} of its tensors: {string.Join(", ", unused.Order().Take(5))}{(unused.Count > 5 ? " ..." : "")}");

        Weight Matrix(string name, Shape shape)
        {
            TensorPlace at = Take(name, shape);
            if (last.Name != at.Name)
            {
                Weight whole = reading == WeightReading.Whole ? checkpoint.ReadWeight(at.Name) : checkpoint.OpenWeight(at.Name);
                last = (at.Name, at.IsTransposed ? MatrixLayout.Transpose(whole) : whole);
            }
            return at.Rows is null ? last.Weight! : last.Weight!.Reorder(at.Rows);
        }

        Tensor Vector(string name, Shape shape)
        {
            TensorPlace at = Take(name, shape);
            Tensor vector = checkpoint.ReadTensor(at.Name);
            if (at.Rows is { } rows)
                vector = Tensor.From(shape, [.. rows.Select(row => vector.Data[row])]);
            if (at.Added != 0)
                foreach (ref float value in vector.Data)
                    value += at.Added;
            return vector;
        }

        TensorPlace Take(string name, Shape shape)
        {
            TensorPlace at = place(name);
            if (!stored.Contains(at.Name))
                throw new CoppiceException($"{checkpoint.Path}: tensor '{at.Name}' is missing; a {family} model of these settings needs it");
            unused.Remove(at.Name);
            long[] wanted = [.. (at.StoredShape ?? shape.ToArray()).Select(size => (long)size)];
            if (at.Rows is not null && at.StoredShape is null)
                wanted[0] = at.StoredRows;
            if (at.IsTransposed)
                Array.Reverse(wanted);
            if (!checkpoint.ShapeOf(at.Name).SequenceEqual(wanted))
                throw new CoppiceException($"{checkpoint.Path}: tensor '{at.Name}' is [{string.Join(", ", checkpoint.ShapeOf(at.Name))}], wanted [{string.Join(", ", wanted)}]");
            return at;
        }
    }

    /// <summary>Every parameter under our name.</summary>
    public static IReadOnlyList<CheckpointEntry> Entries(Model model) =>
    [
        .. model.Matrices().Select(part => new CheckpointEntry(part.Name + ".weight", part.Layer.Weight)),
        .. model.AllVectors().Select(part => new CheckpointEntry(part.Name, part.Vector)),
    ];

    /// <summary>Every tensor as a container stores it: <paramref name="place"/> says where each of ours goes, <paramref name="exact"/> may give a matrix a form of the container's own first.</summary>
    /// <exception cref="CoppiceException">Matrices that are stored as one cannot be put together.</exception>
    public static IReadOnlyList<(CheckpointEntry Entry, IReadOnlyList<string> Ours)> Stored(Model model, Func<string, TensorPlace> place, Func<Weight, Weight> exact)
    {
        List<(CheckpointEntry Entry, IReadOnlyList<string> Ours)> stored = [];
        foreach (var group in Entries(model).Select(entry => (Entry: entry, At: place(entry.Name))).GroupBy(part => part.At.Name))
        {
            (CheckpointEntry Entry, TensorPlace At)[] parts = [.. group];
            CheckpointEntry entry;
            try
            {
                entry = parts[0].Entry.Weight is null
                    ? new CheckpointEntry(group.Key, Vector(parts))
                    : new CheckpointEntry(group.Key, Matrix([.. parts.Select(part => (DeferredWeight.Changed(part.Entry.Weight!, exact), part.At))]));
                if (parts[0].At.StoredShape is { } shape)
                    entry = entry.Shaped(Shape.Create(shape));
            }
            catch (CoppiceException error)
            {
                throw new CoppiceException($"tensor '{group.Key}': {error.Message}", error);
            }
            stored.Add((entry, [.. parts.Select(part => part.Entry.Name)]));
        }
        return stored;

        static Weight Matrix(IReadOnlyList<(Weight Weight, TensorPlace At)> parts)
        {
            Weight all = MatrixLayout.Stack([.. parts.Select(part => part.Weight)]);
            if (parts[0].At.Rows is not null)
                all = all.Reorder(Inverse([.. parts.SelectMany(part => part.At.Rows!)]));
            return parts[0].At.IsTransposed ? MatrixLayout.Transpose(all) : all;
        }

        static Tensor Vector(IReadOnlyList<(CheckpointEntry Entry, TensorPlace At)> parts)
        {
            TensorPlace at = parts[0].At;
            if (at.Rows is null && at.Added == 0)
                return parts[0].Entry.Tensor!;
            float[] all = [.. parts.SelectMany(part => part.Entry.Tensor!.Data.ToArray()).Select(value => value - at.Added)];
            return Tensor.From([all.Length], at.Rows is null ? all : [.. Inverse([.. parts.SelectMany(part => part.At.Rows!)]).Select(row => all[row])]);
        }

        static int[] Inverse(int[] rows)
        {
            int[] inverse = new int[rows.Length];
            for (int i = 0; i < rows.Length; i++)
                inverse[rows[i]] = i;
            return inverse;
        }
    }
}
