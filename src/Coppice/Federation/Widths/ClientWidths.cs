using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Federation.Widths;

/// <summary>Clients of different capacity (HeteroFL, Diao et al. 2021): each trains a nested part of the model, a share of its heads and neurons, for the whole run.</summary>
public sealed class ClientWidths
{
    readonly DealtNumbers numbers;

    ClientWidths(DealtNumbers numbers) => this.numbers = numbers;

    /// <summary>What a name looks like.</summary>
    public static string Form => "WIDTH[:SHARE],... and CLIENT=WIDTH,...";

    /// <summary>The text.</summary>
    public string Name => numbers.Name;

    /// <summary>Widths by a text: <c>0.5,1</c> gives half of the clients half of the heads and neurons, <c>0.25:0.2,1:0.8</c> a fifth a quarter, <c>anna=0.5,1</c> one client by name.</summary>
    /// <exception cref="CoppiceException">It is no such text.</exception>
    public static ClientWidths Find(string text) => new(new DealtNumbers("widths", text, 0.001, 1));

    /// <summary>The part of a model that each client has; those of width 1 are not there.</summary>
    /// <param name="model">The model as the run begins.</param>
    /// <param name="clients">All clients of the run.</param>
    /// <param name="seed">Draws who gets which width.</param>
    /// <exception cref="CoppiceException">The model's family has no place for a part of that width, or a client that is named is not there.</exception>
    public IReadOnlyDictionary<string, SubModel> Deal(DecoderModel model, IEnumerable<string> clients, int seed)
    {
        Dictionary<double, SubModel> parts = [];
        Dictionary<string, SubModel> dealt = new(StringComparer.Ordinal);
        foreach ((string client, double width) in numbers.Deal(clients, "widths", seed))
            if (width < 1)
            {
                if (!parts.TryGetValue(width, out SubModel? part))
                    parts.Add(width, part = SubModel.Of(model, width));
                dealt.Add(client, part);
            }
        return dealt;
    }
}
