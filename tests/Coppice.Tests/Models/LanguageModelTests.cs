using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Models;

public sealed class LanguageModelTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-models-").FullName;
    readonly WorkerPool pool = new(1);

    public void Dispose()
    {
        pool.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    string At(string name) => Path.Combine(folder, name);

    static DecoderConfig Config => TinyLlama.Config with { HiddenSize = 64, IntermediateSize = 96, HeadWidth = 16, VocabularySize = 300 };

    static LanguageModel Create(HeadKind head = HeadKind.Tied)
    {
        Tokenizer tokenizer = BpeTrainer.Train(["the cat sat on the mat with the other cat, then the cats sat there together on that mat"], new BpeTraining { VocabularySize = 280 });
        return new LanguageModel(Coppice.Training.Initialization.Random(Config with { Head = head }, seed: 2), tokenizer, "test");
    }

    float[] Logits(LanguageModel language) => language.Model.Forward(new Batch([5, 100, 42, 7, 270]), new ForwardContext(pool)).Data.ToArray();

    static void AssertSameTokenizer(LanguageModel wanted, LanguageModel found)
    {
        const string Text = "the cats sat\n on that 猫 mat";
        Assert.Equal(wanted.Tokenizer.Encode(Text), found.Tokenizer.Encode(Text));
        Assert.Equal(wanted.Tokenizer.BosId, found.Tokenizer.BosId);
        Assert.Equal(Text, found.Tokenizer.Decode(found.Tokenizer.Encode(Text)));
    }

    [Theory]
    [InlineData(HeadKind.Tied)]
    [InlineData(HeadKind.Untied)]
    public void A_folder_in_float32_gives_the_same_logits_back(HeadKind head)
    {
        LanguageModel model = Create(head);
        model.Save(At("hf"), DType.F32);
        LanguageModel back = LanguageModel.Load(At("hf"));
        Assert.Equal(Logits(model), Logits(back));
        AssertSameTokenizer(model, back);
    }

    [Theory]
    [InlineData(DType.F16)]
    [InlineData(DType.BF16)]
    public void A_folder_in_16_bits_keeps_its_numbers_when_saved_again(DType type)
    {
        Create().Save(At("first"), type);
        LanguageModel first = LanguageModel.Load(At("first"));
        first.Save(At("second"), type);
        Assert.Equal(File.ReadAllBytes(At("first/model.safetensors")), File.ReadAllBytes(At("second/model.safetensors")));
        Assert.Equal(File.ReadAllBytes(At("first/config.json")), File.ReadAllBytes(At("second/config.json")));
    }

    [Theory]
    [InlineData("F32")]
    [InlineData("F16")]
    [InlineData("Q8_0")]
    [InlineData("Q4_0")]
    public void A_gguf_gives_the_numbers_of_its_type_back(string type)
    {
        LanguageModel model = Create(HeadKind.Untied);
        GgmlType ggml = GgmlType.All.Single(known => known.Name == type);
        model.SaveGguf(At("model.gguf"), ggml);
        LanguageModel back = LanguageModel.Load(At("model.gguf"));
        AssertSameTokenizer(model, back);
        foreach (((string name, MatrixLayer wanted), (string _, MatrixLayer found)) in model.Model.Matrices().Zip(back.Model.Matrices()))
        {
            float[] rounded = wanted.Weight.ToDense();
            for (int i = 0; i < rounded.Length; i += 32)
                Round(type, rounded.AsSpan(i, 32));
            Assert.True(rounded.AsSpan().SequenceEqual(found.Weight.ToDense()), name);
        }
    }

    static void Round(string type, Span<float> block)
    {
        if (type == "F16")
            foreach (ref float value in block)
                value = (float)(Half)value;
        else if (type == "Q8_0")
            Q8_0.Pack(block).Unpack(block);
        else if (type == "Q4_0")
            Q4_0.Pack(block).Unpack(block);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(8)]
    public void Symmetric_integers_in_groups_of_32_become_blocks_with_the_same_numbers(int bits)
    {
        LanguageModel model = Create();
        Random random = new(4);
        foreach ((_, MatrixLayer layer) in model.Model.Matrices())
        {
            byte[] codes = new byte[layer.Weight.Rows * layer.Weight.Columns];
            random.NextBytes(codes);
            for (int i = 0; i < codes.Length; i++)
                codes[i] &= (byte)((1 << bits) - 1);
            Half[] scales = [.. Enumerable.Range(0, codes.Length / 32).Select(_ => (Half)(0.01 * random.NextDouble()))];
            layer.Weight = new IntWeight(bits, 32, layer.Weight.Rows, layer.Weight.Columns, codes, scales, []);
        }
        Assert.Empty(model.SaveGguf(At("model.gguf")));
        LanguageModel back = LanguageModel.Load(At("model.gguf"));
        Assert.All(back.Model.Matrices(), part => Assert.Equal(bits == 4 ? "q4_0" : "q8_0", part.Layer.Weight.Kind));
        Assert.Equal(Logits(model), Logits(back));
    }

    [Fact]
    public void Grouped_integers_of_a_folder_come_back_as_they_were()
    {
        LanguageModel model = Create();
        foreach ((string name, MatrixLayer layer) in model.Model.Matrices().Where(part => part.Name.Contains("mlp")))
        {
            byte[] codes = [.. Enumerable.Range(0, layer.Weight.Rows * layer.Weight.Columns).Select(i => (byte)(i * 7 % 16))];
            int groups = layer.Weight.Rows * layer.Weight.Columns / 32;
            layer.Weight = new IntWeight(4, 32, layer.Weight.Rows, layer.Weight.Columns, codes, [.. Enumerable.Range(0, groups).Select(i => (Half)(0.001f * (i % 9 + 1)))], [.. Enumerable.Range(0, groups).Select(i => (byte)(i % 16))]);
        }
        model.Save(At("int4"), DType.F32);
        LanguageModel back = LanguageModel.Load(At("int4"));
        Assert.Equal(model.Model.Matrices().Select(part => part.Layer.Weight.Kind), back.Model.Matrices().Select(part => part.Layer.Weight.Kind));
        Assert.Equal(Logits(model), Logits(back));
    }

    [Theory]
    [InlineData(HeadKind.Tied)]
    [InlineData(HeadKind.Untied)]
    public void A_llama2c_file_gives_the_same_logits_back(HeadKind head)
    {
        LanguageModel model = Create(head);
        model.SaveLlama2C(At("model.bin"));
        model.Tokenizer.Save(folder);
        LanguageModel back = LanguageModel.Load(At("model.bin"));
        Assert.Equal(Logits(model), Logits(back));
    }

    [Fact]
    public void A_tokenizer_larger_than_the_vocabulary_is_refused()
    {
        Create().Save(At("hf"));
        LanguageModel other = new(Coppice.Training.Initialization.Random(Config with { VocabularySize = 200 }, 1), Create().Tokenizer, "other");
        other.Save(At("wrong"));
        CoppiceException error = Assert.Throws<CoppiceException>(() => LanguageModel.Load(At("wrong")));
        Assert.Contains("the tokenizer has 280 tokens, the model's vocabulary 200; they do not belong together", error.Message);
        Assert.Contains(At("wrong"), error.Message);
    }

    [Theory]
    [InlineData("\"hidden_size\": 64", "\"hidden_size\": 65", "model.embed_tokens.weight")]
    [InlineData("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "model.layers.2")]
    [InlineData("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "model.layers.1")]
    [InlineData("\"model_type\": \"llama\"", "\"model_type\": \"mamba\"", "mamba")]
    [InlineData("\"hidden_act\": \"silu\"", "\"hidden_act\": \"mish\"", "mish")]
    [InlineData("\"attention_bias\": false", "\"attention_bias\": true", "q_proj.bias' is missing")]
    [InlineData("\"vocab_size\": 300", "\"vocab_size\": \"many\"", "vocab_size")]
    [InlineData("\"vocab_size\": 300,", "", "vocab_size")]
    public void A_config_that_does_not_fit_is_refused_by_name(string from, string to, string named)
    {
        Create().Save(At("hf"));
        string config = At("hf/config.json"), text = File.ReadAllText(config);
        Assert.Contains(from, text);
        File.WriteAllText(config, text.Replace(from, to));
        Assert.Contains(named, Assert.Throws<CoppiceException>(() => LanguageModel.Load(At("hf"))).Message);
    }

    [Fact]
    public void What_is_no_model_is_refused()
    {
        File.WriteAllText(At("notes.txt"), "hello");
        Assert.Contains("no model that we read", Assert.Throws<CoppiceException>(() => LanguageModel.Load(At("notes.txt"))).Message);
        Assert.Contains("no such file", Assert.Throws<CoppiceException>(() => LanguageModel.Load(At("nothing"))).Message);
    }
}
