using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>Rotary scalings as config.json and GGUF write them.</summary>
static class RopeSettings
{
    /// <summary>Theta and the scaling of a config.json; <paramref name="context"/> is max_position_embeddings where that is absent, <paramref name="width"/> a head's.</summary>
    /// <exception cref="CoppiceException">The scaling is not known, or a number in it cannot be.</exception>
    public static (double Theta, RopeScaling? Scaling) Read(JsonFields json, double absent, int context, int width)
    {
        // Transformers 5 keeps theta and the scaling in one object.
        JsonFields? rope = json.Has("rope_parameters") ? json.Object("rope_parameters") : json.Has("rope_scaling") ? json.Object("rope_scaling") : null;
        double theta = json.Number("rope_theta", rope?.Number("rope_theta", absent) ?? absent);
        if (rope is null)
            return (theta, null);
        context = json.Integer("max_position_embeddings", context);
        string kind = rope.Text("rope_type", rope.Text("type", "default"));
        return (theta, kind switch
        {
            "default" => null,
            "linear" => new LinearRopeScaling(Factor("factor")),
            "dynamic" => new DynamicRopeScaling(Factor("factor")),
            "llama3" => new Llama3RopeScaling(Factor("factor"), Factor("low_freq_factor"), Factor("high_freq_factor"), rope.Integer("original_max_position_embeddings")),
            "yarn" => Yarn(),
            "longrope" or "su" => Long(),
            _ => throw json.Error($"the rotary scaling is '{kind}', wanted default, linear, dynamic, llama3, yarn or longrope"),
        });

        YarnRopeScaling Yarn()
        {
            if (rope.Has("mscale") || rope.Has("mscale_all_dim") || !rope.Flag("truncate", true))
                throw json.Error("the rotary scaling sets mscale, mscale_all_dim or truncate, which this version cannot compute");
            double factor = Factor("factor");
            return new YarnRopeScaling(factor, Positive(rope.Integer("original_max_position_embeddings", context)), Factor("beta_fast", 32), Factor("beta_slow", 1), Factor("attention_factor", YarnRopeScaling.UsualAttentionFactor(factor)));
        }

        LongRopeScaling Long()
        {
            int original = Positive(json.Integer("original_max_position_embeddings", rope.Integer("original_max_position_embeddings", context)));
            return new LongRopeScaling(original, context, Divisors("short_factor"), Divisors("long_factor"), Factor("attention_factor", LongRopeScaling.UsualAttentionFactor(original, context)));
        }

        IReadOnlyList<double> Divisors(string name) => rope.Numbers(name) is var divisors && divisors.Count == width / 2 && divisors.All(divisor => divisor is > 0 and < 1e6)
            ? divisors
            : throw json.Error($"the rotary scaling's {name} has {rope.Numbers(name).Count} numbers, wanted {width / 2} above 0");

        double Factor(string name, double? usual = null) => rope.Number(name, usual) is > 0 and < 1e6 and double factor ? factor : throw json.Error($"the rotary scaling's {name} is {rope.Number(name)}, wanted a positive number");

        int Positive(int number) => number > 1 ? number : throw json.Error($"the rotary scaling's original_max_position_embeddings is {number}, wanted more than 1");
    }

    /// <summary>Adds a scaling to config.json's fields.</summary>
    /// <exception cref="CoppiceException">config.json cannot say it.</exception>
    public static void Write(RopeScaling? scaling, JsonObject json)
    {
        JsonObject? fields = scaling switch
        {
            null => null,
            LinearRopeScaling linear => new JsonObject { ["rope_type"] = "linear", ["factor"] = linear.Factor },
            DynamicRopeScaling dynamic => new JsonObject { ["rope_type"] = "dynamic", ["factor"] = dynamic.Factor },
            Llama3RopeScaling three => new JsonObject
            {
                ["rope_type"] = "llama3",
                ["factor"] = three.Factor,
                ["low_freq_factor"] = three.LowFactor,
                ["high_freq_factor"] = three.HighFactor,
                ["original_max_position_embeddings"] = three.OriginalContext,
            },
            YarnRopeScaling yarn => new JsonObject
            {
                ["rope_type"] = "yarn",
                ["factor"] = yarn.Factor,
                ["original_max_position_embeddings"] = yarn.OriginalContext,
                ["beta_fast"] = yarn.BetaFast,
                ["beta_slow"] = yarn.BetaSlow,
                ["attention_factor"] = yarn.AttentionFactor,
            },
            LongRopeScaling both => new JsonObject
            {
                ["rope_type"] = "longrope",
                ["short_factor"] = Numbers(both.Short),
                ["long_factor"] = Numbers(both.Long),
                ["attention_factor"] = both.AttentionFactor,
            },
            _ => throw new CoppiceException("the model's rotary frequencies were read from a GGUF's rope_freqs.weight, and config.json has no field for such a list"),
        };
        if (fields is not null)
            json["rope_scaling"] = fields;
        if (scaling is LongRopeScaling longer)
            json["original_max_position_embeddings"] = longer.OriginalContext;

        static JsonArray Numbers(IReadOnlyList<double> values) => new([.. values.Select(value => JsonValue.Create(value))]);
    }

    /// <summary>The scaling of a GGUF file.</summary>
    /// <exception cref="CoppiceException">It is not computed here.</exception>
    public static RopeScaling? Read(Gguf file, string prefix)
    {
        if (file.Names.Contains(LlamaLike.RopeFrequencies))
            return new ListedRopeScaling(file.ReadTensor(LlamaLike.RopeFrequencies).Data.ToArray());
        int context = file.Get<int>(prefix + "context_length"), original = file.Get(prefix + "rope.scaling.original_context_length", context);
        if (file.Names.Contains(LlamaLike.ShortFactors))
            return new LongRopeScaling(original, context, Divisors(LlamaLike.ShortFactors), Divisors(LlamaLike.LongFactors), file.Get(prefix + "rope.scaling.attn_factor", 1f));
        string kind = file.Get(prefix + "rope.scaling.type", "none");
        return kind switch
        {
            "none" => null,
            "linear" => new LinearRopeScaling(file.Get<float>(prefix + "rope.scaling.factor")),
            "yarn" => file.Get<float>(prefix + "rope.scaling.factor") is var factor ? new YarnRopeScaling(factor, original, 32, 1, YarnRopeScaling.UsualAttentionFactor(factor)) : null,
            _ => throw new CoppiceException($"{file.Path}: {prefix}rope.scaling.type is '{kind}', which this version cannot compute"),
        };

        double[] Divisors(string name) => [.. file.ReadTensor(name).Data.ToArray().Select(value => (double)value)];
    }

    /// <summary>The keys of a GGUF file; lists of divisors are tensors.</summary>
    /// <exception cref="CoppiceException">llama.cpp computes another scaling of the kind.</exception>
    public static IEnumerable<KeyValuePair<string, object>> Metadata(RopeScaling? scaling, string prefix)
    {
        switch (scaling)
        {
            case LinearRopeScaling linear:
                yield return new(prefix + "rope.scaling.type", "linear");
                yield return new(prefix + "rope.scaling.factor", (float)linear.Factor);
                break;
            case YarnRopeScaling yarn:
                if (Math.Abs(yarn.AttentionFactor - YarnRopeScaling.UsualAttentionFactor(yarn.Factor)) > 1e-6 || yarn.BetaFast != 32 || yarn.BetaSlow != 1)
                    throw new CoppiceException($"llama.cpp computes YaRN with betas 32 and 1 and the paper's attention factor, this model has {yarn.BetaFast}, {yarn.BetaSlow} and {yarn.AttentionFactor}");
                yield return new(prefix + "rope.scaling.type", "yarn");
                yield return new(prefix + "rope.scaling.factor", (float)yarn.Factor);
                yield return new(prefix + "rope.scaling.original_context_length", (uint)yarn.OriginalContext);
                break;
            case LongRopeScaling both:
                yield return new(prefix + "rope.scaling.original_context_length", (uint)both.OriginalContext);
                yield return new(prefix + "rope.scaling.attn_factor", (float)both.AttentionFactor);
                break;
        }
    }
}
